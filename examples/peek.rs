#![allow(clippy::all, clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]
#[path = "../tests/it/engine.rs"]
mod engine;
use piton::plan::Settings;
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let h = engine::history(a[0].as_ref());
    let p = engine::plan(a[1].as_ref(), &h, &Settings::default()).unwrap();
    for x in &p.assessments {
        println!("{:?} {:?} {}", x.state, x.witness, x.title);
    }
    for f in &p.findings {
        println!("{:?} {} {}", f.severity, f.code, f.message);
    }
}
