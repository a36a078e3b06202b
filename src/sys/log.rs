//! The log of the process: env_logger on standard error, filtered by `CALLSCOOT_LOG`.

/// Starts the log once; `info` unless `CALLSCOOT_LOG` says otherwise (env_logger's syntax). Under systemd the
/// journal keeps the time, so none is printed there.
pub fn start() {
    let mut builder =
        env_logger::Builder::from_env(env_logger::Env::new().filter_or("CALLSCOOT_LOG", "info"));
    // It writes whole messages at trace level, and these are words of people.
    builder.filter_module("tungstenite", log::LevelFilter::Info);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.format_timestamp(None);
    }
    // A second start (in tests) keeps the first.
    let _ = builder.try_init();
}
