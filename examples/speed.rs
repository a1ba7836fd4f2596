#![allow(clippy::all, clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]
#[path = "../tests/it/engine.rs"]
mod engine;
use piton::plan::Settings;
use std::time::Instant;
fn main() {
    let dir = std::env::temp_dir().join("speed");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(dir.join("m")).unwrap();
    let n: usize = std::env::args().nth(1).map_or(1000, |x| x.parse().unwrap());
    let mut t = 0;
    for i in 1..=n {
        let f = if i % 10 == 1 {
            t = i;
            format!(
                "CREATE TABLE t{i} (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\nCREATE INDEX t{i}_name ON t{i} (name);"
            )
        } else {
            format!("ALTER TABLE t{t} ADD COLUMN c{i} TEXT;")
        };
        std::fs::write(dir.join("m").join(format!("{i:05}_x.sql")), f).unwrap();
    }
    let c = Instant::now();
    let h = engine::history(&dir.join("m"));
    println!("discover {:?}", c.elapsed());
    let db = dir.join("app.db");
    let c = Instant::now();
    let p = engine::plan(&db, &h, &Settings::default()).unwrap();
    println!("plan new {:?} denied {}", c.elapsed(), p.denials().count());
    let c = Instant::now();
    let e = engine::carry(&p);
    println!("carry out {:?} {}", c.elapsed(), matches!(e, engine::Ended::Done(_)));
    for _ in 0..3 {
        let c = Instant::now();
        let p = engine::plan(&db, &h, &Settings::default()).unwrap();
        println!("plan up to date {:?} {}", c.elapsed(), p.acts());
    }
    engine::drop_ledger(&db);
    let c = Instant::now();
    let p = engine::plan(&db, &h, &Settings::default()).unwrap();
    println!("plan without ledger {:?} {}", c.elapsed(), p.acts());
    engine::carry(&p);
    engine::connect(&db).execute_batch("ALTER TABLE t1 ADD extra").unwrap();
    let c = Instant::now();
    let p = engine::plan(&db, &h, &Settings::default()).unwrap();
    println!("plan drifted {:?} {}", c.elapsed(), p.findings.len());
}
