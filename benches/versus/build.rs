//! Links the system's libzmq, found by pkg-config: what users have, built with eventfd. And tells the versions that
//! `Cargo.lock` has of the others.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    println!("cargo:rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    for package in ["peermq", "omq-tokio", "rzmq", "zeromq", "monocoque-rs", "nng-sys"] {
        let name = format!("name = \"{package}\"\nversion = \"");
        let version = lock.split_once(&name).and_then(|(_, rest)| rest.split('"').next());
        let variable = package.replace('-', "_").to_uppercase();
        println!("cargo:rustc-env=VERSION_{variable}={}", version.unwrap_or_default());
    }
    if std::env::var_os("CARGO_FEATURE_LIBZMQ").is_some() {
        link_libzmq();
    }
}

fn link_libzmq() {
    let query = Command::new("pkg-config").args(["--libs", "libzmq >= 4.3"]).output();
    let Some(found) = query.ok().filter(|output| output.status.success()) else {
        eprintln!("libzmq 4.3 is not found by pkg-config. On Debian: apt-get install pkg-config libzmq3-dev");
        std::process::exit(1);
    };
    for flag in String::from_utf8_lossy(&found.stdout).split_whitespace() {
        match flag.split_at(2) {
            ("-L", path) => println!("cargo:rustc-link-search=native={path}"),
            ("-l", library) => println!("cargo:rustc-link-lib={library}"),
            _ => {}
        }
    }
}
