//! Who has registered what: agents and profiles, each belonging to a client of the bus.

use std::collections::BTreeMap;

use super::refusal::Refusal;

/// Profiles at once; real ones are a handful.
const PROFILES_MAX: usize = 64;
/// Agents at once: one a client.
const AGENTS_MAX: usize = 64;

/// The hands-free unit, as it is registered.
pub(super) const HANDS_FREE: &str = "0000111e-0000-1000-8000-00805f9b34fb";
/// The audio gateway, as phones offer it.
pub(super) const AUDIO_GATEWAY: &str = "0000111f-0000-1000-8000-00805f9b34fb";

/// A client's profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// The client's own name on the bus.
    pub(super) owner: String,
    pub(super) path: String,
    /// Full length, lower case.
    pub(super) uuid: String,
}

/// What an agent can show and ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capability {
    /// Numbers, and yes or no.
    Compares,
    /// Nothing.
    Nothing,
}

/// A client's agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) path: String,
    pub(super) capability: Capability,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    profiles: Vec<Profile>,
    agents: BTreeMap<String, Agent>,
    default_agent: Option<String>,
}

/// The full UUID of one written in full, short (`111e`, `0x111e`) or as BlueZ's name for it.
pub(super) fn full_uuid(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    match text.as_str() {
        "hfp-hf" => return Some(HANDS_FREE.to_owned()),
        "hfp-ag" => return Some(AUDIO_GATEWAY.to_owned()),
        _ => {}
    }
    let short = text.strip_prefix("0x").unwrap_or(&text);
    let hex = |part: &str| part.bytes().all(|digit| digit.is_ascii_hexdigit());
    if short.len() == 4 && hex(short) {
        return Some(format!("0000{short}-0000-1000-8000-00805f9b34fb"));
    }
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    (lengths == [8, 4, 4, 4, 12] && text.split('-').all(hex)).then_some(text)
}

impl Registry {
    pub(super) fn register_profile(&mut self, owner: &str, path: &str, uuid: &str) -> Result<(), Refusal> {
        if self.profiles.iter().any(|profile| profile.owner == owner && profile.path == path) {
            return Err(Refusal::already_exists());
        }
        let uuid = full_uuid(uuid).ok_or_else(Refusal::invalid_arguments)?;
        if self.profiles.iter().any(|profile| profile.uuid == uuid) {
            return Err(Refusal::new("org.bluez.Error.NotPermitted", "UUID already registered"));
        }
        if self.profiles.len() >= PROFILES_MAX {
            return Err(Refusal::failed("Too many profiles"));
        }
        self.profiles.push(Profile { owner: owner.to_owned(), path: path.to_owned(), uuid });
        Ok(())
    }

    pub(super) fn unregister_profile(&mut self, owner: &str, path: &str) -> Result<Profile, Refusal> {
        let mine = |profile: &Profile| profile.owner == owner && profile.path == path;
        let at = self.profiles.iter().position(mine).ok_or_else(Refusal::does_not_exist)?;
        Ok(self.profiles.remove(at))
    }

    /// Who takes the connections of hands-free phones.
    pub(super) fn hands_free(&self) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.uuid == HANDS_FREE)
    }

    pub(super) fn register_agent(&mut self, owner: &str, path: &str, words: &str) -> Result<(), Refusal> {
        if self.agents.contains_key(owner) {
            return Err(Refusal::already_exists());
        }
        let capability = match words {
            "" | "KeyboardDisplay" | "DisplayYesNo" => Capability::Compares,
            "NoInputNoOutput" | "DisplayOnly" | "KeyboardOnly" => Capability::Nothing,
            _ => return Err(Refusal::invalid_arguments()),
        };
        if self.agents.len() >= AGENTS_MAX {
            return Err(Refusal::failed("Too many agents"));
        }
        self.agents.insert(owner.to_owned(), Agent { path: path.to_owned(), capability });
        self.default_agent.get_or_insert_with(|| owner.to_owned());
        Ok(())
    }

    pub(super) fn unregister_agent(&mut self, owner: &str, path: &str) -> Result<(), Refusal> {
        self.agent_of(owner, path)?;
        self.drop_agent(owner);
        Ok(())
    }

    pub(super) fn request_default_agent(&mut self, owner: &str, path: &str) -> Result<(), Refusal> {
        self.agent_of(owner, path)?;
        self.default_agent = Some(owner.to_owned());
        Ok(())
    }

    fn agent_of(&self, owner: &str, path: &str) -> Result<&Agent, Refusal> {
        self.agents.get(owner).filter(|agent| agent.path == path).ok_or_else(Refusal::does_not_exist)
    }

    fn drop_agent(&mut self, owner: &str) {
        self.agents.remove(owner);
        if self.default_agent.as_deref() == Some(owner) {
            self.default_agent = self.agents.keys().next().cloned();
        }
    }

    /// Who is asked when a device pairs: the client's name and its agent.
    pub(super) fn asked_agent(&self) -> Option<(&str, &Agent)> {
        let owner = self.default_agent.as_deref()?;
        self.agents.get(owner).map(|agent| (owner, agent))
    }

    /// A client has left the bus: what it had is free. Its profiles.
    pub(super) fn left(&mut self, owner: &str) -> Vec<Profile> {
        self.drop_agent(owner);
        let (gone, kept) =
            std::mem::take(&mut self.profiles).into_iter().partition(|profile| profile.owner == owner);
        self.profiles = kept;
        gone
    }

    /// UUIDs of all profiles, for the adapter's list.
    pub(super) fn uuids(&self) -> Vec<String> {
        self.profiles.iter().map(|profile| profile.uuid.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(result: Result<(), Refusal>) -> &'static str {
        result.map_or_else(|refusal| refusal.name.rsplit('.').next().unwrap_or(""), |()| "ok")
    }

    #[test]
    fn a_profile_belongs_to_one_client_until_it_gives_it_back_or_leaves() {
        let mut registry = Registry::default();
        assert_eq!(name(registry.register_profile(":1", "/a", HANDS_FREE)), "ok");
        assert_eq!(name(registry.register_profile(":1", "/a", HANDS_FREE)), "AlreadyExists");
        assert_eq!(name(registry.register_profile(":1", "/b", "HFP-HF")), "NotPermitted");
        assert_eq!(name(registry.register_profile(":2", "/a", "0x111E")), "NotPermitted");
        assert_eq!(name(registry.register_profile(":2", "/a", "zz")), "InvalidArguments");
        assert_eq!(registry.unregister_profile(":2", "/a"), Err(Refusal::does_not_exist()));
        assert_eq!(registry.left(":1").len(), 1);
        assert_eq!(registry.hands_free(), None);
        assert_eq!(name(registry.register_profile(":2", "/a", HANDS_FREE)), "ok");
        assert!(registry.unregister_profile(":2", "/a").is_ok());
    }

    #[test]
    fn the_agent_that_asked_for_it_is_asked_and_another_one_when_it_leaves() {
        let mut registry = Registry::default();
        assert_eq!(registry.asked_agent(), None);
        assert_eq!(name(registry.register_agent(":1", "/one", "")), "ok");
        assert_eq!(name(registry.register_agent(":1", "/other", "")), "AlreadyExists");
        assert_eq!(name(registry.register_agent(":2", "/two", "Telepathy")), "InvalidArguments");
        assert_eq!(name(registry.register_agent(":2", "/two", "NoInputNoOutput")), "ok");
        assert_eq!(name(registry.request_default_agent(":2", "/one")), "DoesNotExist");
        assert_eq!(name(registry.request_default_agent(":2", "/two")), "ok");
        assert_eq!(registry.asked_agent().map(|(owner, _)| owner), Some(":2"));
        registry.left(":2");
        assert_eq!(registry.asked_agent().map(|(owner, _)| owner), Some(":1"));
        assert_eq!(name(registry.unregister_agent(":1", "/two")), "DoesNotExist");
        assert_eq!(name(registry.unregister_agent(":1", "/one")), "ok");
        assert_eq!(registry.asked_agent(), None);
    }
}
