//! Digest authentication as a client (RFC 3261 22, RFC 8760): the answer to 401 and 407.
//!
//! SHA-256 is taken before MD5 where both are offered; a nonce is used again with a higher count until the
//! server calls it stale.

use digest_auth::{Algorithm, AlgorithmType, AuthContext, HttpMethod, Qop, WwwAuthenticateHeader};

use super::msg::{Name, Request, Response};
use crate::base::{Rng, Secret};

/// Challenges in one response beyond this many are not looked at.
const CHALLENGES_MAX: usize = 8;

/// Challenges in a row that are answered; a server that asks once more is not going to be content.
const ROUNDS_MAX: u8 = 4;

/// Who we are to a server.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Digest user name.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// The challenges that one exchange of requests has met, and how often in vain.
#[derive(Debug, Default)]
pub struct Digest {
    www: Option<WwwAuthenticateHeader>,
    proxy: Option<WwwAuthenticateHeader>,
    /// Whether the last request carried an answer to this kind of challenge.
    tried_www: bool,
    tried_proxy: bool,
    /// Challenges since the last success.
    challenged: u8,
}

impl Digest {
    /// Takes the challenges of a 401 or 407. `true` when the request is worth sending again: a challenge that can
    /// be answered, and either it is the first one or only the nonce of the last answer was stale (RFC 7616 3.3).
    pub fn challenged(&mut self, response: &Response) -> bool {
        let (name, slot, tried) = match response.code {
            401 => (Name::WwwAuthenticate, &mut self.www, self.tried_www),
            407 => (Name::ProxyAuthenticate, &mut self.proxy, self.tried_proxy),
            _ => return false,
        };
        self.challenged = self.challenged.saturating_add(1);
        if self.challenged > ROUNDS_MAX {
            return false;
        }
        let offers = response.headers.all(name).take(CHALLENGES_MAX).filter_map(read);
        let best = offers.max_by_key(|challenge| challenge.algorithm.algo == AlgorithmType::SHA2_256);
        match best {
            Some(challenge) if !tried || challenge.stale => {
                *slot = Some(challenge);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Puts answers to all challenges known so far into the request.
    pub fn authorize(&mut self, request: &mut Request, credentials: &Credentials, rng: &mut Rng) {
        request.headers.remove(Name::Authorization);
        request.headers.remove(Name::ProxyAuthorization);
        self.tried_www = answer(&mut self.www, Name::Authorization, request, credentials, rng);
        self.tried_proxy = answer(&mut self.proxy, Name::ProxyAuthorization, request, credentials, rng);
    }

    /// The server accepted: its nonce may be used for later requests, and a later challenge is a first one again.
    pub fn accepted(&mut self) {
        self.tried_www = false;
        self.tried_proxy = false;
        self.challenged = 0;
    }
}

fn answer(
    challenge: &mut Option<WwwAuthenticateHeader>,
    name: Name,
    request: &mut Request,
    credentials: &Credentials,
    rng: &mut Rng,
) -> bool {
    let Some(challenge) = challenge else { return false };
    let method = HttpMethod(request.method.as_str().to_owned().into());
    let uri = request.uri.as_str();
    let mut context = AuthContext::new_with_method(
        &credentials.username,
        credentials.password.expose(),
        uri,
        None::<&[u8]>,
        method,
    );
    context.set_custom_cnonce(rng.hex(16));
    let Ok(answer) = challenge.respond(&context) else { return false };
    let answer = answer.to_header_string();
    request.headers.push(name, answer);
    true
}

/// Reads a challenge that we can answer: Digest, MD5 or SHA-256 without `-sess`, qop auth or none.
fn read(value: &str) -> Option<WwwAuthenticateHeader> {
    // The parser counts characters where it cuts bytes.
    if !value.is_ascii() || !value.get(..7)?.eq_ignore_ascii_case("Digest ") {
        return None;
    }
    let challenge = digest_auth::parse(value).ok()?;
    let known = [AlgorithmType::MD5, AlgorithmType::SHA2_256].map(|algo| Algorithm::new(algo, false));
    let qop = challenge.qop.as_ref().is_none_or(|offered| offered.contains(&Qop::AUTH));
    (known.contains(&challenge.algorithm) && qop).then_some(challenge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Rng;
    use crate::sip::msg::{Headers, Method};

    fn challenge(code: u16, values: &[&str]) -> Response {
        let mut headers = Headers::default();
        for value in values {
            let name = if code == 401 { Name::WwwAuthenticate } else { Name::ProxyAuthenticate };
            headers.push(name, *value);
        }
        Response { code, reason: String::new(), headers, body: Vec::new() }
    }

    fn register() -> Request {
        let uri = "sip:registrar.example".to_owned();
        Request { method: Method::Register, uri, headers: Headers::default(), body: Vec::new() }
    }

    fn answer_to(digest: &mut Digest) -> String {
        let credentials = Credentials { username: "bob".into(), password: Secret::new("zanzibar") };
        let mut request = register();
        digest.authorize(&mut request, &credentials, &mut Rng::from_u64(3));
        request.headers.first(Name::Authorization).unwrap_or_default().to_owned()
    }

    fn field<'a>(header: &'a str, name: &str) -> &'a str {
        let from = header.find(&format!(" {name}=")).unwrap() + name.len() + 2;
        header[from..].split([',']).next().unwrap().trim_matches('"')
    }

    #[test]
    fn the_answer_without_qop_is_that_of_rfc2617_3_2_2_1() {
        let mut digest = Digest::default();
        assert!(digest.challenged(&challenge(401, &[r#"Digest realm="biloxi.com", nonce="dcd98b71""#])));
        // md5(md5(bob:biloxi.com:zanzibar):dcd98b71:md5(REGISTER:sip:registrar.example)).
        assert_eq!(field(&answer_to(&mut digest), "response"), "f9c10126de8f4c59174d9d68d5aa75ae");
    }

    #[test]
    fn sha_256_is_preferred_and_nc_counts_up_rfc8760_2_4() {
        let mut digest = Digest::default();
        let both = [
            r#"Digest realm="r", nonce="n1", qop="auth", algorithm=MD5"#,
            r#"Digest realm="r", nonce="n2", qop="auth,auth-int", algorithm=SHA-256"#,
        ];
        assert!(digest.challenged(&challenge(401, &both)));
        let first = answer_to(&mut digest);
        assert_eq!((field(&first, "algorithm"), field(&first, "nonce")), ("SHA-256", "n2"));
        assert_eq!((field(&first, "nc"), field(&first, "qop")), ("00000001", "auth"));
        assert_eq!(field(&first, "response").len(), 64);
        assert_eq!(field(&answer_to(&mut digest), "nc"), "00000002");
    }

    #[test]
    fn a_second_challenge_is_a_wrong_password_unless_stale_rfc7616_3_3() {
        let mut digest = Digest::default();
        let plain = challenge(401, &[r#"Digest realm="r", nonce="n1", qop="auth""#]);
        assert!(digest.challenged(&plain));
        answer_to(&mut digest);
        assert!(!digest.challenged(&plain));
        let stale = challenge(401, &[r#"Digest realm="r", nonce="n2", stale=TRUE, qop="auth""#]);
        assert!(digest.challenged(&stale));
        assert_eq!(field(&answer_to(&mut digest), "nonce"), "n2");
        digest.accepted();
        assert!(digest.challenged(&plain));
        for _ in 1..ROUNDS_MAX {
            answer_to(&mut digest);
            assert!(digest.challenged(&stale));
        }
        assert!(!digest.challenged(&stale));
    }

    #[test]
    fn what_cannot_be_answered_is_not_tried() {
        for bad in [
            "Basic realm=x",
            "Digest realm=\"r\"",
            "Digest nonce=\"ü\", realm=\"é=\"",
            r#"Digest realm="r", nonce="n", algorithm=AKAv1-MD5"#,
            r#"Digest realm="r", nonce="n", qop="auth-int""#,
            "Digest",
            "",
        ] {
            assert!(!Digest::default().challenged(&challenge(407, &[bad])), "{bad}");
        }
        assert!(!Digest::default().challenged(&challenge(403, &[])));
    }

    proptest! {
        #[test]
        fn no_challenge_breaks_the_reader(text in ".{0,80}", ascii in "[ -~]{0,80}") {
            let values = [format!("Digest {text}"), format!("Digest realm=\"r\", nonce=\"n\", {ascii}")];
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let mut digest = Digest::default();
            if digest.challenged(&challenge(401, &values)) {
                answer_to(&mut digest);
            }
        }
    }
}
