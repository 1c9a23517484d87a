//! Finds the programs that `cargo xtask build` has compiled, so that the agent carries them.

use std::{env, error::Error, fs, path::PathBuf};

/// Where the build leaves them, relative to the workspace.
const OBJECT: &str = "target/bpf/redirector.bpf.o";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=REDIRECTOR_BPF");
    let object = match env::var_os("REDIRECTOR_BPF") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("not run by cargo")?)
            .join("..")
            .join(OBJECT),
    };
    println!("cargo:rerun-if-changed={}", object.display());
    let target = PathBuf::from(env::var_os("OUT_DIR").ok_or("not run by cargo")?).join("redirector.bpf.o");
    // Without them the agent still builds, so that a plain `cargo build` needs neither LLVM nor a nightly compiler.
    // `redirector run` then says what is missing.
    match fs::read(&object) {
        Ok(bytes) => fs::write(target, bytes)?,
        Err(_) => fs::write(target, [])?,
    }
    Ok(())
}
