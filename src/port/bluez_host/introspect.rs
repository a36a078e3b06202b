//! Which methods there are where, for whoever asks, and so that no other one is taken.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use dbus::Message;
use dbus::arg::ArgType;

use super::value::{Interfaces, Objects};

/// Interface, method, types of its arguments, types of its answer.
const METHODS: [(&str, &str, &str, &str); 20] = [
    ("org.freedesktop.DBus.Introspectable", "Introspect", "", "s"),
    ("org.freedesktop.DBus.Properties", "Get", "ss", "v"),
    ("org.freedesktop.DBus.Properties", "GetAll", "s", "a{sv}"),
    ("org.freedesktop.DBus.Properties", "Set", "ssv", ""),
    ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "", "a{oa{sa{sv}}}"),
    ("org.bluez.AgentManager1", "RegisterAgent", "os", ""),
    ("org.bluez.AgentManager1", "RequestDefaultAgent", "o", ""),
    ("org.bluez.AgentManager1", "UnregisterAgent", "o", ""),
    ("org.bluez.ProfileManager1", "RegisterProfile", "osa{sv}", ""),
    ("org.bluez.ProfileManager1", "UnregisterProfile", "o", ""),
    ("org.bluez.Adapter1", "StartDiscovery", "", ""),
    ("org.bluez.Adapter1", "StopDiscovery", "", ""),
    ("org.bluez.Adapter1", "RemoveDevice", "o", ""),
    ("org.bluez.Device1", "Connect", "", ""),
    ("org.bluez.Device1", "Disconnect", "", ""),
    ("org.bluez.Device1", "ConnectProfile", "s", ""),
    ("org.bluez.Device1", "DisconnectProfile", "s", ""),
    ("org.bluez.Device1", "Pair", "", ""),
    ("org.bluez.Device1", "CancelPairing", "", ""),
    ("org.freedesktop.DBus.Peer", "Ping", "", ""),
];
/// Properties that may be set.
const WRITABLE: [&str; 8] = [
    "Alias",
    "Powered",
    "Discoverable",
    "DiscoverableTimeout",
    "Pairable",
    "PairableTimeout",
    "Trusted",
    "Blocked",
];

/// Whether a property of this name may be set.
pub(super) fn is_writable(name: &str) -> bool {
    WRITABLE.contains(&name)
}

/// The types of a message's arguments.
pub(super) fn signature(message: &Message) -> String {
    let mut at = message.iter_init();
    let mut types = String::new();
    while at.arg_type() != ArgType::Invalid {
        types.push_str(&at.signature());
        if !at.next() {
            break;
        }
    }
    types
}

/// Interfaces of the object at this path, beside those with properties; `None` where there is no object.
fn plain_interfaces(path: &str, objects: &Objects) -> Option<Vec<&'static str>> {
    let mut names = vec!["org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Peer"];
    if path == "/" {
        names.push("org.freedesktop.DBus.ObjectManager");
        return Some(names);
    }
    let own: &Interfaces = objects.get(path)?;
    names.extend(own.keys());
    if own.values().any(|properties| !properties.is_empty()) {
        names.push("org.freedesktop.DBus.Properties");
    }
    Some(names)
}

/// Whether the object takes this call; the interface may be left out by the caller.
pub(super) fn takes(objects: &Objects, path: &str, interface: &str, method: &str, types: &str) -> bool {
    plain_interfaces(path, objects).is_some_and(|names| {
        METHODS.iter().any(|(of, name, arguments, _)| {
            names.contains(of)
                && (interface == *of || interface.is_empty())
                && (*name, *arguments) == (method, types)
        })
    })
}

/// The object as XML. Paths between objects have children and nothing else.
pub(super) fn xml(objects: &Objects, path: &str) -> String {
    let mut xml = String::from(
        "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n\
         \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n",
    );
    for interface in plain_interfaces(path, objects).unwrap_or_default() {
        let _ = writeln!(xml, " <interface name=\"{interface}\">");
        for (_, name, arguments, answer) in METHODS.iter().filter(|(of, ..)| *of == interface) {
            let _ = writeln!(xml, "  <method name=\"{name}\">");
            for (types, direction) in [(arguments, "in"), (answer, "out")] {
                for one in single_types(types) {
                    let _ = writeln!(xml, "   <arg type=\"{one}\" direction=\"{direction}\"/>");
                }
            }
            let _ = writeln!(xml, "  </method>");
        }
        let properties = objects.get(path).and_then(|own| own.get(interface));
        for (name, value) in properties.into_iter().flatten() {
            let access = if is_writable(name) { "readwrite" } else { "read" };
            let types = value.signature();
            let _ = writeln!(xml, "  <property name=\"{name}\" type=\"{types}\" access=\"{access}\"/>");
        }
        let _ = writeln!(xml, " </interface>");
    }
    let below = format!("{}/", path.trim_end_matches('/'));
    let children: BTreeSet<&str> =
        objects.keys().filter_map(|other| other.strip_prefix(&below)?.split('/').next()).collect();
    for child in children {
        let _ = writeln!(xml, " <node name=\"{child}\"/>");
    }
    xml.push_str("</node>\n");
    xml
}

/// The complete types in a row of them, for the rows above.
fn single_types(types: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = types;
    while !rest.is_empty() {
        let mut depth = 0;
        let end = rest.char_indices().find_map(|(at, one)| {
            depth += match one {
                '{' | '(' => 1,
                '}' | ')' => -1,
                _ => 0,
            };
            (depth == 0 && one != 'a').then_some(at + 1)
        });
        let (one, after) = rest.split_at(end.unwrap_or(rest.len()));
        found.push(one);
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::value::{Properties, Value};
    use super::*;

    fn objects() -> Objects {
        let radio = Properties::from([("Powered", Value::Flag(true)), ("Address", Value::text("x"))]);
        Objects::from([
            ("/org/bluez".into(), Interfaces::from([("org.bluez.AgentManager1", Properties::new())])),
            ("/org/bluez/hci0".into(), Interfaces::from([("org.bluez.Adapter1", radio)])),
        ])
    }

    #[test]
    fn types_in_a_row_are_taken_apart() {
        assert_eq!(single_types("osa{sv}"), ["o", "s", "a{sv}"]);
        assert_eq!(single_types("a{oa{sa{sv}}}as"), ["a{oa{sa{sv}}}", "as"]);
        assert_eq!(single_types(""), Vec::<&str>::new());
    }

    #[test]
    fn a_method_is_taken_where_it_is_with_the_types_it_has() {
        let takes = |path, interface, method, types| takes(&objects(), path, interface, method, types);
        assert!(takes("/org/bluez/hci0", "org.bluez.Adapter1", "RemoveDevice", "o"));
        assert!(takes("/org/bluez/hci0", "", "RemoveDevice", "o"));
        assert!(!takes("/org/bluez/hci0", "org.bluez.Adapter1", "RemoveDevice", "s"));
        assert!(!takes("/org/bluez", "org.bluez.Adapter1", "RemoveDevice", "o"));
        assert!(!takes("/org/bluez", "org.freedesktop.DBus.Properties", "GetAll", "s"), "it has none");
        assert!(takes("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""));
    }

    #[test]
    fn objects_are_found_from_the_root() {
        assert!(xml(&objects(), "/").contains("<node name=\"org\"/>"));
        assert!(xml(&objects(), "/org").contains("<node name=\"bluez\"/>"));
        let radio = xml(&objects(), "/org/bluez/hci0");
        assert!(radio.contains("name=\"Powered\" type=\"b\" access=\"readwrite\""), "{radio}");
        assert!(radio.contains("name=\"Address\" type=\"s\" access=\"read\""), "{radio}");
    }
}
