//! The 50 messages of RFC 4475, each with the reply that it gets from a phone that anybody may call; and the corpora
//! of the fuzzers, replayed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed check is a failed test")]

use std::fs;
use std::path::PathBuf;

use callscoot::base::{CallIds, Rng};
use callscoot::sip::msg::{Message, read};
use callscoot::sip::{Input, Options, Output, Ua, fuzz};

/// File and first reply; `-` where there must be none. Names end in `_V` (valid) and `_I` (invalid) as the RFC has
/// them, seen by a proxy or registrar too; ours is a phone, so every REGISTER is 405.
const REPLIES: [(&str, &str); 50] = [
    ("TC_BADASPEC_I", "200"),
    ("TC_BADBRANCH_V", "200"),
    ("TC_BADDATE_V", "100"),
    ("TC_BADDN_I", "200"),
    ("TC_BADINV01_I", "400"),
    ("TC_BADVERS_V", "505"),
    ("TC_BCAST_V", "-"),
    ("TC_BEXT01_V", "420"),
    ("TC_BIGCODE_V", "-"),
    ("TC_CLERR_I", "400"),
    ("TC_CPARAM01_V", "405"),
    ("TC_CPARAM02_V", "405"),
    ("TC_DBLREQ", "405"),
    ("TC_ESC01_V", "100"),
    ("TC_ESC02_V", "405"),
    ("TC_ESCNULL_V", "405"),
    ("TC_ESCRURI_V", "400"),
    ("TC_INSUF_I", "400"),
    ("TC_INTMETH", "405"),
    ("TC_INV2543_I", "100"),
    ("TC_INVUT_V", "415"),
    ("TC_LONGREQ_V", "100"),
    ("TC_LTGTRURI_I", "400"),
    ("TC_LWSDISP_V", "200"),
    ("TC_LWSRURI_I", "400"),
    ("TC_LWSSTART_V", "400"),
    ("TC_MCL01_I", "400"),
    ("TC_MISMATCH01_V", "400"),
    ("TC_MISMATCH02_V", "400"),
    ("TC_MPART01", "405"),
    ("TC_MULTI01_I", "400"),
    ("TC_NCL_I", "400"),
    ("TC_NOREASON_V", "-"),
    ("TC_NOVELSC_V", "416"),
    ("TC_QUOTBAL_I", "400"),
    ("TC_REGAUT01_V", "405"),
    ("TC_REGBADCT_I", "405"),
    ("TC_REGESCRT_V", "405"),
    ("TC_SCALAR02_V", "400"),
    ("TC_SCALARLG_V", "-"),
    ("TC_SDP01_V", "406"),
    ("TC_SEMIURI_V", "200"),
    ("TC_TEST_I", "-"),
    ("TC_TRANSPORTS_V", "200"),
    ("TC_TRWS_I", "400"),
    ("TC_UNKSCM_V", "416"),
    ("TC_UNKSM2_V", "405"),
    ("TC_UNREASON_V", "-"),
    // It carries a To tag of a dialog that nobody here has.
    ("TC_WSINV", "481"),
    ("TC_ZEROMF_V", "200"),
];

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn each_message_of_rfc4475_gets_its_reply() {
    let known =
        files("tests/rfc4475").iter().filter(|path| path.extension().is_some_and(|e| e == "dat")).count();
    assert_eq!(known, REPLIES.len());
    let mut wrong = Vec::new();
    for (name, expected) in REPLIES {
        let bytes = fs::read(format!("tests/rfc4475/{name}.dat")).unwrap();
        let mut ua =
            Ua::new(Options { accept_strangers: true, user: None }, CallIds::default(), Rng::from_u64(1));
        let from = "192.0.2.200:5062".parse().unwrap();
        let local = "198.51.100.1:5060".parse().unwrap();
        ua.handle_input(callscoot::sys::clock::mono(), Input::Datagram { from, local, bytes: &bytes });
        let mut reply = "-".to_owned();
        while let output @ (Output::Transmit(_) | Output::Event(_)) = ua.poll_output() {
            if let (Output::Transmit(transmit), "-") = (output, reply.as_str()) {
                let Message::Response(response) = read(&transmit.bytes).unwrap().message else {
                    panic!("{name}: a request")
                };
                reply = response.code.to_string();
                assert_eq!(transmit.to.ip().to_string(), "192.0.2.200", "{name}: answered to its sender");
            }
        }
        if reply != expected {
            wrong.push(format!("{name}: {reply}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_corpus_of_sip_messages_does_no_harm() {
    for path in files("tests/rfc4475").into_iter().chain(files("tests/corpus/sip_msg")) {
        fuzz::message(&fs::read(path).unwrap());
    }
}

#[test]
fn no_cut_or_flipped_message_does_harm() {
    let mut rng = Rng::from_u64(1);
    for path in files("tests/rfc4475") {
        let bytes = fs::read(path).unwrap();
        for _ in 0..40 {
            let mut broken = bytes.clone();
            broken.truncate(rng.below(bytes.len() as u32 + 1) as usize);
            for _ in 0..rng.below(4) {
                let at = rng.below(broken.len() as u32) as usize;
                if let Some(byte) = broken.get_mut(at) {
                    *byte = rng.u32() as u8;
                }
            }
            fuzz::message(&broken);
        }
    }
}
