//! Every SHALL and MUST of the RFCs has its test, or a reason why it has none; so has every test of libzmq's that is worth
//! having here, and every threat a test that is named for its number. `tests/spec/*.txt` says which, and `src/spec.md`, a page
//! of the documentation, is made of them.
//!
//! After a change there: `PEERMQ_WRITE_SPEC=1 cargo test --test spec`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// One sentence, or one test of libzmq's, and where it has its home.
#[derive(Debug)]
struct Rule {
    id: String,
    text: String,
    homes: Vec<Home>,
    /// What is different here on purpose.
    ours: Option<String>,
}

#[derive(Debug)]
enum Home {
    /// The file, and the test's name: within a module of stamped tests, with the module's.
    Test { file: String, name: String },
    /// The same sentence of another RFC.
    Same(String),
    /// There is no test, and this is why.
    None(String),
}

/// A file of rules: its heading and the rules.
struct Book {
    heading: String,
    rules: Vec<Rule>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a folder that end so, in order.
fn files(folder: &str, end: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(end)).collect();
    names.sort();
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

fn books() -> Vec<Book> {
    files("tests/spec", ".txt").iter().map(|file| book(file)).collect()
}

fn book(file: &str) -> Book {
    let source = read(file);
    let mut lines = source.lines();
    let heading = lines.next().and_then(|line| line.strip_prefix("# "));
    let heading = heading
        .unwrap_or_else(|| panic!("{file} begins with a heading"))
        .to_owned();
    let mut rules: Vec<Rule> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let Some(line) = line.strip_prefix("  ") else {
            let (id, text) = line.split_once(' ').expect("an id and a text");
            rules.push(Rule {
                id: id.to_owned(),
                text: text.to_owned(),
                homes: Vec::new(),
                ours: None,
            });
            continue;
        };
        let rule = rules.last_mut().expect("a rule above what is said of it");
        match line.split_once(' ') {
            Some(("test", home)) => {
                let (file, name) = home.split_once(' ').expect("a file and a name");
                rule.homes.push(Home::Test {
                    file: file.to_owned(),
                    name: name.to_owned(),
                });
            }
            Some(("same", id)) => rule.homes.push(Home::Same(id.to_owned())),
            Some(("none", why)) => rule.homes.push(Home::None(why.to_owned())),
            Some(("ours", what)) => rule.ours = Some(what.to_owned()),
            _ => panic!("{file}, {}: {line}", rule.id),
        }
    }
    Book { heading, rules }
}

/// Whether there is a test of this name: marked as one, or named where tests are stamped.
fn is_test(file: &str, name: &str) -> bool {
    let source = read(file);
    match name.split_once("::") {
        Some((module, name)) => is_stamped(&source, module, name),
        None => {
            let head = format!("fn {name}(");
            let Some(at) = source.find(&head) else { return false };
            let before = source[..at].trim_end();
            let stamped = || {
                let in_suite = |list: &str| {
                    list.split(");")
                        .next()
                        .unwrap_or_default()
                        .contains(&format!(" {name},"))
                };
                source.split("_suite!(").skip(1).any(in_suite)
            };
            before.ends_with("#[test]") || stamped()
        }
    }
}

/// Whether the macro that this module is made by names this rule, and the rule is there.
fn is_stamped(source: &str, module: &str, name: &str) -> bool {
    let rules: String = files("tests/spec", ".rs").iter().map(|file| read(file)).collect();
    let listed = |text: &str| text.contains(&format!(" {name},")) || text.contains(&format!("[{name}"));
    let named = |text: &str| listed(text) || text.contains(&format!(", {name}]"));
    let mut calls = source.match_indices("!(");
    let is_made = calls.any(|(at, _)| {
        let call = source[at + 2..].split(");").next().unwrap_or_default();
        if !call.trim_start().starts_with(&format!("{module},")) {
            return false;
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let start = source[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        let definition = format!("macro_rules! {} {{", &source[start..at]);
        let definition = rules.split(&definition).nth(1).unwrap_or_default();
        named(call) || named(definition.split("\n}\n").next().unwrap_or_default())
    });
    is_made && rules.contains(&format!("pub fn {name}<"))
}

#[test]
fn every_rule_has_a_home_that_is_there() {
    let books = books();
    let mut texts = BTreeMap::new();
    for rule in books.iter().flat_map(|book| &book.rules) {
        let before = texts.insert(rule.id.clone(), rule.text.clone());
        assert!(before.is_none(), "{} is there twice", rule.id);
    }
    let mut wrong = Vec::new();
    for rule in books.iter().flat_map(|book| &book.rules) {
        let is_rfc = rule.id.starts_with(|c: char| c.is_ascii_digit());
        if rule.homes.is_empty() || is_rfc && rule.homes.len() > 1 {
            wrong.push(format!("{} has {} homes", rule.id, rule.homes.len()));
        }
        if let Some(number) = rule.id.strip_prefix("threat-") {
            let named = format!("threat_{number}_");
            let is_its = |home: &Home| matches!(home, Home::Test { name, .. } if name.starts_with(&named));
            if !rule.homes.iter().any(is_its) {
                wrong.push(format!("{} has no test that is named for it", rule.id));
            }
        }
        // RFC 24 and 25 demand nothing by these words: they tell how it is.
        let demands = !["24-", "25-"].iter().any(|rfc| rule.id.starts_with(rfc));
        if is_rfc && demands && !["SHALL", "MUST", "shall"].iter().any(|word| rule.text.contains(word)) {
            wrong.push(format!("{} demands nothing", rule.id));
        }
        for home in &rule.homes {
            match home {
                Home::Test { file, name } if !is_test(file, name) => {
                    wrong.push(format!("{}: {file} has no test {name}", rule.id));
                }
                Home::Same(id) if texts.get(id) != Some(&rule.text) => {
                    wrong.push(format!("{} and {id} differ", rule.id));
                }
                _ => {}
            }
        }
    }
    let threats = (1..=40).map(|n| format!("threat-{n:02}"));
    let numbers = (1..=42).map(|n| format!("T{n:02}")).chain(threats);
    wrong.extend(
        numbers
            .filter(|id| !texts.contains_key(id))
            .map(|id| format!("{id} is missing")),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the tests of `spec_*.rs` quote stands in an RFC.
#[test]
fn what_is_quoted_is_said() {
    let bare = |text: &str| text.replace('"', "");
    let said: Vec<String> = books()
        .iter()
        .flat_map(|book| &book.rules)
        .map(|rule| bare(&rule.text))
        .collect();
    let mut quoted = 0;
    let mut wrong = Vec::new();
    let of_tests = files("tests", ".rs")
        .into_iter()
        .filter(|file| file.starts_with("tests/spec_"));
    for file in of_tests.chain(files("tests/spec", ".rs")) {
        let source = read(&file);
        let mut docs = String::new();
        for line in source.lines().chain([""]) {
            if let Some(doc) = line.trim_start().strip_prefix("///") {
                docs.push_str(doc);
                continue;
            }
            let docs = std::mem::take(&mut docs);
            for (n, quote) in docs.split('"').enumerate() {
                let quote = quote.trim_end_matches(['.', ',', ' ', ':']).trim_start();
                if n % 2 == 1 && (quote.contains("SHALL") || quote.contains("MUST")) {
                    quoted += 1;
                    if !said.iter().any(|text| text.contains(quote)) {
                        wrong.push(format!("{file}: {quote}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(quoted > 80, "{quoted} quotes were found");
}

#[test]
fn the_page_is_up_to_date() {
    let page = page(&books());
    let path = root().join("src/spec.md");
    if std::env::var_os("PEERMQ_WRITE_SPEC").is_some() {
        fs::write(&path, &page).expect("the page is written");
    }
    let is_same = fs::read_to_string(&path).is_ok_and(|there| there == page);
    assert!(
        is_same,
        "src/spec.md is not what tests/spec/*.txt make: PEERMQ_WRITE_SPEC=1 cargo test --test spec"
    );
}

fn page(books: &[Book]) -> String {
    let mut page = String::from(INTRODUCTION);
    for book in books {
        let count = |is_it: fn(&Home) -> bool| book.rules.iter().filter(|rule| rule.homes.iter().any(is_it)).count();
        let tested = count(|home| !matches!(home, Home::None(_)));
        let (heading, all) = (linked(&book.heading), book.rules.len());
        let _ = write!(
            page,
            "\n## {heading}\n\n{all} in all, {tested} tested.\n\n| | | |\n|---|---|---|\n"
        );
        for rule in &book.rules {
            let mut homes: Vec<String> = rule.homes.iter().map(shown).collect();
            homes.extend(rule.ours.iter().map(|ours| format!("ours: {}", escaped(ours))));
            let _ = writeln!(page, "| {} | {} | {} |", rule.id, escaped(&rule.text), homes.join("; "));
        }
    }
    page
}

fn shown(home: &Home) -> String {
    match home {
        Home::Test { file, name } => {
            let file = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
            format!("`{file}`: `{name}`")
        }
        Home::Same(id) => format!("see {id}"),
        Home::None(why) => format!("none: {}", escaped(why)),
    }
}

/// As it is, for whoever reads Markdown.
fn escaped(text: &str) -> String {
    // What stands between backticks is code.
    let mut out = String::new();
    for (n, part) in text.split('`').enumerate() {
        if n % 2 == 1 {
            let _ = write!(out, "`{part}`");
            continue;
        }
        for c in part.chars() {
            if "|<>*[]_\\".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

/// An address becomes a link.
fn linked(heading: &str) -> String {
    let words = heading.split(' ').map(|word| {
        let address = word.trim_end_matches(',');
        match address.starts_with("https://") {
            true => word.replace(address, &format!("<{address}>")),
            false => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

const INTRODUCTION: &str = "\
Which test keeps which rule of ZeroMQ's RFCs, and of libzmq's own suite; and which shows what becomes of a peer that means
no good.

Each sentence with SHALL or MUST is quoted from its RFC, and has one test, or a reason why there is none; of RFC 24 and 25,
which have neither word, those are that tell who says what. `ours` says what is different here on purpose. `file`: `name` is
a test in `tests/file.rs` or in the unit tests of a module; `module::name` is a rule that is the same for several types,
stamped for one.
";
