//! Where things are and what the environment says: folders, addresses, the agent's identity.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::app::fault::Fault;
use crate::base::Secret;
use crate::call::switch::AgentSettings;
use crate::port::adb::AdbAddress;
use crate::port::env_file;

/// The vendor's own service.
const BASE_URL: &str = "https://api.elevenlabs.io";
/// The port that every client expects.
pub const API_PORT: u16 = 8788;

/// Everything that `serve` takes from its surroundings.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `config.json` is here.
    pub config_dir: PathBuf,
    /// `elevenagents.env`: the person's own.
    pub env_file: PathBuf,
    /// Database and session folders are here.
    pub state_dir: PathBuf,
    /// Where the API listens.
    pub api: SocketAddr,
    /// `CALLSCOOT_API_BASE`: where clients look instead.
    pub api_base: Option<String>,
    /// `CALLSCOOT_API_TOKEN`; none means no authentication.
    pub api_token: Option<Secret>,
    /// `DBUS_SYSTEM_BUS_ADDRESS`: the bus that the Bluetooth host is on; the system's own without it.
    pub system_bus: Option<String>,
    /// `CALLSCOOT_SCO_DIR`: voice links are Unix sockets in this folder, for a machine without Bluetooth.
    pub sco_dir: Option<PathBuf>,
    /// `ADB_SERVER_SOCKET` or `ANDROID_ADB_SERVER_PORT`: where the adb server listens.
    pub adb: AdbAddress,
    /// Who talks.
    pub agent: AgentSettings,
}

impl Environment {
    /// Reads folders, credentials, environment and env file; a value that cannot be used is a fault that names it.
    pub fn read() -> Result<Self, Fault> {
        let (config_dir, state_dir) = folders()?;
        let env_dir =
            env::var_os("CONFIGURATION_DIRECTORY").map_or_else(|| config_dir.clone(), PathBuf::from);
        let env_file = env_dir.join("elevenagents.env");
        let values =
            env_file::Environment::of_process(&env_file).map_err(|error| Fault::Config(error.to_string()))?;
        let get = |name: &str| values.text(name);
        let host = get("CALLSCOOT_API_HOST").unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string());
        let host: IpAddr = if host == "localhost" {
            Ipv4Addr::LOCALHOST.into()
        } else {
            host.trim_matches(['[', ']']).parse().map_err(|_| {
                Fault::Config(format!("CALLSCOOT_API_HOST is {host}: an IP address or localhost is needed"))
            })?
        };
        let port = match get("CALLSCOOT_API_PORT") {
            None => API_PORT,
            Some(port) => port.parse().map_err(|_| {
                Fault::Config(format!("CALLSCOOT_API_PORT is {port}: a port number is needed"))
            })?,
        };
        let base_url = get("ELEVENLABS_BASE_URL").unwrap_or_else(|| BASE_URL.into());
        let agent = AgentSettings {
            base_url: base_url.trim_end_matches('/').to_owned(),
            agent_id: get("ELEVENLABS_AGENT_ID"),
            api_key: values.secret("ELEVENLABS_API_KEY"),
        };
        check_base_url(&agent.base_url)?;
        let api_token = values.secret("CALLSCOOT_API_TOKEN");
        let api_base = get("CALLSCOOT_API_BASE").map(|base| base.trim_end_matches('/').to_owned());
        Ok(Self {
            config_dir,
            env_file,
            state_dir,
            api_base,
            api: SocketAddr::new(host, port),
            api_token,
            system_bus: env::var("DBUS_SYSTEM_BUS_ADDRESS").ok().filter(|address| !address.is_empty()),
            sco_dir: get("CALLSCOOT_SCO_DIR").map(PathBuf::from),
            adb: AdbAddress::of_environment(get).map_err(|error| Fault::Config(error.to_string()))?,
            agent,
        })
    }
}

impl Environment {
    /// The program's own configuration.
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.json")
    }

    /// What was learnt about phones.
    pub fn phone_memory(&self) -> PathBuf {
        self.state_dir.join("phones.json")
    }

    /// Where a client on this machine finds the service.
    pub fn client_base(&self) -> String {
        let host = match self.api.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        self.api_base.clone().unwrap_or_else(|| format!("http://{}", SocketAddr::new(host, self.api.port())))
    }
}

/// A system unit keeps everything in `$STATE_DIRECTORY`; a person's service follows the XDG folders.
fn folders() -> Result<(PathBuf, PathBuf), Fault> {
    if let Some(state) = env::var_os("STATE_DIRECTORY") {
        return Ok((PathBuf::from(&state), PathBuf::from(state)));
    }
    let home = || {
        env::var_os("HOME")
            .map(PathBuf::from)
            .ok_or_else(|| Fault::Config("neither XDG_CONFIG_HOME and XDG_STATE_HOME nor HOME is set".into()))
    };
    let folder = |variable: &str, below_home: &str| match env::var_os(variable) {
        Some(folder) if !folder.is_empty() => Ok(PathBuf::from(folder)),
        _ => home().map(|home| home.join(below_home)),
    };
    let config = folder("XDG_CONFIG_HOME", ".config")?.join("callscoot");
    let state = folder("XDG_STATE_HOME", ".local/state")?.join("callscoot");
    Ok((config, state))
}

/// Keys and voices must not cross a network in clear: `http://` is for a simulator on this machine.
fn check_base_url(url: &str) -> Result<(), Fault> {
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    match host {
        None if url.starts_with("https://") => Ok(()),
        Some("127.0.0.1" | "localhost") => Ok(()),
        _ => Err(Fault::Config(format!(
            "ELEVENLABS_BASE_URL is {url}: https:// is needed (http:// only on loopback)"
        ))),
    }
}
