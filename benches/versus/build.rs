//! Links the system's libzmq, found by pkg-config: what users have, built with eventfd.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
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
