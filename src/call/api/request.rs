//! A request as the API sees it: complete, bounded, its head already well-formed.

/// One request. The body is whole; framing and limits are behind it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`…, as sent (methods are case-sensitive, RFC 9110 9.1).
    pub method: &'a str,
    /// Path and query, as sent.
    pub target: &'a str,
    /// HTTP/1.0, where `Host` may be missing.
    pub http10: bool,
    /// The header fields that the API looks at.
    pub headers: Headers<'a>,
    /// Empty when there is none.
    pub body: &'a [u8],
}

/// The header fields that the API looks at; each at most once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `Host`, with its port.
    pub host: Option<&'a str>,
    /// `Origin`: a browser's page asks.
    pub origin: Option<&'a str>,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Sec-Fetch-Site`: a browser asks.
    pub sec_fetch_site: Option<&'a str>,
    /// `Last-Event-ID`: where a stream resumes.
    pub last_event_id: Option<&'a str>,
    /// `Idempotency-Key`: the same request is done once.
    pub idempotency_key: Option<&'a str>,
}
