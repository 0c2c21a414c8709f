//! The floors of the design: imports point down, and only where it is written may the world be touched.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Module and floor, and the modules beside it that it may use.
const FLOORS: &[(&str, u32, &[&str])] = &[
    ("message", 0, &[]),
    ("endpoint", 0, &["socket_type"]),
    ("identity", 0, &[]),
    ("routing_id", 0, &[]),
    ("socket_type", 0, &[]),
    ("notice", 0, &[]),
    (
        "options",
        0,
        &["endpoint", "identity", "message", "security", "socket_type"],
    ),
    ("security", 0, &["cipher", "failure", "keys"]),
    ("chance", 0, &[]),
    ("keys", 0, &[]),
    ("cipher", 0, &["keys"]),
    ("error", 0, &["endpoint", "identity", "message", "notice", "options"]),
    ("explain", 0, &["endpoint", "failure", "socket_type", "stats"]),
    ("peer_info", 0, &["identity", "security", "socket_type"]),
    ("limit", 0, &[]),
    ("failure", 0, &["limit", "socket_type"]),
    ("monitor", 0, &["endpoint", "failure", "limit"]),
    ("stats", 0, &["identity", "limit", "socket_type"]),
    ("sync", 0, &[]),
    ("batch", 1, &[]),
    ("wire", 2, &[]),
    ("routing", 2, &[]),
    ("hub", 3, &[]),
    ("transport", 3, &[]),
    ("engine", 4, &[]),
    ("context", 5, &[]),
    ("socket", 6, &[]),
    ("proxy", 7, &["poller"]),
    ("poller", 7, &[]),
    ("zap", 7, &[]),
    ("confirmed", 7, &["poller"]),
    ("sim", 8, &[]),
    ("fuzzing", 9, &[]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder, by their path from there.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    let root = root().join(folder);
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path
            .strip_prefix(&root)
            .expect("below the root")
            .to_string_lossy()
            .replace('\\', "/");
        (name, code(&fs::read_to_string(&path).expect("a source")))
    };
    paths.into_iter().map(read).collect()
}

/// Without comments.
fn code(source: &str) -> String {
    let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Without its unit tests, which may use what they like.
fn shipped(source: &str) -> &str {
    source
        .split("#[cfg(all(test, not(loom)))]\nmod tests {")
        .next()
        .unwrap_or_default()
}

/// Test only, as a whole; a model's parts as the model is.
fn is_test(name: &str) -> bool {
    let model = name
        .split_once("/model/")
        .map(|(folder, _)| format!("{folder}/model.rs"));
    name.starts_with("sim/")
        || name.contains("/tests")
        || name.ends_with("/model.rs")
        || model.is_some_and(|model| root().join("src").join(model).exists())
}

fn module_of(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or_default()
}

/// The modules that a source names after `crate::`, one by one or in braces.
fn imports(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let word = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    for (at, _) in source.match_indices("crate::") {
        if at > 0 && source.as_bytes()[at - 1] == b'$' {
            continue;
        }
        let rest = &source[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => drop(found.insert(word(rest))),
            Some(list) => found.extend(
                list.split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(|item| word(item.trim())),
            ),
        }
    }
    found
}

fn names(source: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(word).any(|(at, _)| {
        let before = source[..at].chars().next_back().is_some_and(is_part);
        let after = source[at + word.len()..].chars().next().is_some_and(is_part);
        !before && !after
    })
}

#[test]
fn imports_point_to_lower_floors() {
    let floor = |module: &str| FLOORS.iter().find(|(name, ..)| *name == module);
    let mut wrong = Vec::new();
    for (name, source) in sources("src") {
        if name == "lib.rs" || is_test(&name) {
            continue;
        }
        let module = module_of(&name);
        let Some(&(_, mine, beside)) = floor(module) else {
            wrong.push(format!("{name} stands on no floor"));
            continue;
        };
        for import in imports(shipped(&source)) {
            if mine > 5 && import.starts_with(char::is_uppercase) {
                // The public name of something, as the macros of the top floor write it.
                continue;
            }
            let Some(&(_, theirs, _)) = floor(&import) else {
                wrong.push(format!("{name} imports {import}, which is no module"));
                continue;
            };
            if import != module && theirs >= mine && !beside.contains(&import.as_str()) {
                wrong.push(format!("{name} (floor {mine}) imports {import} (floor {theirs})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_world_is_touched_only_where_it_is_written() {
    let allowed = |word: &str, name: &str| match word {
        "mio" => name == "engine/reactor.rs" || name.starts_with("poller/") || name.starts_with("transport/"),
        "socket2" | "nix" => name.starts_with("transport/"),
        "Instant::now" => name == "transport/real.rs" || name == "engine/reactor.rs",
        "SystemTime::now" => name == "transport/real.rs",
        "RandomState" => name == "transport/real.rs",
        "spin::mutex" => name == "sync/spinning.rs",
        "poly1305" | "salsa20" | "subtle" => name.starts_with("cipher"),
        "x25519_dalek" | "getrandom" => name.starts_with("cipher") || name == "keys.rs",
        _ => unreachable!(),
    };
    for (name, source) in sources("src") {
        if is_test(&name) {
            continue;
        }
        let words = [
            "mio",
            "socket2",
            "nix",
            "Instant::now",
            "SystemTime::now",
            "RandomState",
            "spin::mutex",
        ];
        let cryptography = ["poly1305", "salsa20", "subtle", "x25519_dalek", "getrandom"];
        for word in words.into_iter().chain(cryptography) {
            assert!(
                !names(shipped(&source), word) || allowed(word, &name),
                "{name} names {word}"
            );
        }
    }
}

#[test]
fn nothing_is_unsafe() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    assert!(lib.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn nothing_sleeps_to_wait_for_a_state() {
    // Binding an ipc path waits a moment for a lock that another binder holds; and so does who waits for one whose holder
    // the system does not let run.
    let is_known = |name: &str| ["transport/ipc.rs", "sync/spinning.rs"].contains(&name);
    let sleep = ["thread", "sleep"].join("::");
    for folder in ["src", "tests"] {
        for (name, source) in sources(folder) {
            assert!(!source.contains(&sleep) || is_known(&name), "{folder}/{name} sleeps");
        }
    }
}

#[test]
fn the_world_is_compiled_for_tests_and_fuzzers_only() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    // The model checker has no use for fuzzers.
    for module in [
        "#[cfg(any(all(test, not(loom)), fuzzing))]\n#[doc(hidden)]\npub mod fuzzing;",
        "#[cfg(any(test, fuzzing))]\nmod sim;",
    ] {
        let (_, declared) = module.rsplit_once('\n').expect("two lines");
        assert_eq!(lib.matches(declared).count(), 1, "{declared}");
        assert!(lib.contains(module), "{module}");
    }
    let is_used = |(name, source): (String, String)| {
        let ships = !is_test(&name) && module_of(&name) != "fuzzing";
        ships
            && ["crate::sim", "crate::fuzzing"]
                .iter()
                .any(|module| names(shipped(&source), module))
    };
    assert!(!sources("src").into_iter().any(is_used));
}
