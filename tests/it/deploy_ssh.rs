//! `deploy.sh` over a real connection, beside a service that writes.

use crate::{
    deploy::deploy,
    deploy_names::{insert, set_up, small, texts},
    servers::Sshd,
};
use std::process::Stdio;

#[test]
fn over_a_real_connection_beside_a_service_that_writes() {
    let Some(sandbox) = small("\"data\" = '''live'''\n") else { return };
    let Some(server) = Sshd::start() else { return };
    let host = sandbox.path("host");
    let ssh = format!(
        "ssh -F none -p {} -i {} -o UserKnownHostsFile={} -o BatchMode=yes",
        server.port,
        server.path("user").display(),
        server.path("known_hosts").display(),
    );
    let target = format!("{}@127.0.0.1:{}", Sshd::user(), host.display());
    set_up(&sandbox, &format!("DEPLOY_SSH='{ssh}'\nDEPLOY_TARGET={target}\n"));
    deploy(&sandbox, "").success().says("deployed: 1 migration");
    insert(&sandbox.path("live/app.db"), "toy");
    insert(&sandbox.path("cache.db"), "toy");
    insert(&sandbox.path("host/cache.db"), "0");
    let writer = "import os, sqlite3, sys, time\n\
        count = 0\n\
        while not os.path.exists('stop'):\n\
        \x20   for name in ('live/app.db', 'cache.db'):\n\
        \x20       database = sqlite3.connect(name, timeout=20)\n\
        \x20       database.execute('INSERT INTO t VALUES (?)', (str(count),))\n\
        \x20       database.commit(); database.close()\n\
        \x20   count += 1; time.sleep(0.01)\n\
        print(count)\n";
    let mut command = sandbox.program("python3");
    command.args(["-c", writer]).current_dir(&host).stdout(Stdio::piped()).stderr(Stdio::piped());
    let service = command.spawn().unwrap();
    for name in ["002_u", "003_v", "004_w"] {
        let table = &name[4..];
        sandbox.write(&format!("migrations/{name}.sql"), format!("CREATE TABLE {table} (a);"));
        deploy(&sandbox, "").success().says("not overwritten: cache.db");
    }
    sandbox.write("host/stop", "");
    let ended = sandbox.ended(service).success();
    let count: usize = ended.stdout.trim().parse().unwrap();
    assert!(count > 10, "{count}");
    assert_eq!(texts(&sandbox.path("host/live/app.db")).split(',').count(), count);
    assert_eq!(texts(&sandbox.path("host/cache.db")).split(',').count(), count + 1);
}
