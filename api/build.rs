//! Makes a new migration file rebuild the program that carries it.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
