//! Probes of the network, against little servers that behave in every bad way.

use super::{look, probe};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// A server that treats each connection as the function says; it gets the connection's number.
/// Its thread ends with the test's process.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(usize, TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        thread::spawn(move || {
            for (number, connection) in listener.incoming().enumerate() {
                let connection = connection.unwrap();
                seen.lock().unwrap().push(request(&connection));
                answer(number, connection);
            }
        });
        Self { address, requests }
    }

    /// A server that gives these answers in turn; the last one stays.
    fn with(answers: &[&str]) -> Self {
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        Self::new(move |number, mut connection| {
            let answer = &answers[number.min(answers.len() - 1)];
            let _ = connection.write_all(answer.as_bytes());
        })
    }

    /// Asks once.
    fn look(&self, more: &str) -> Result<(), String> {
        look(Path::new("/"), &self.settings(more))
    }

    fn settings(&self, more: &str) -> String {
        format!("[[http]]\nurl = 'http://{}/health'\n{more}", self.address)
    }
}

/// The head of a request.
fn request(connection: &TcpStream) -> String {
    connection.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let lines = BufReader::new(connection).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn status_and_body() {
    let good = Server::with(&[&answer("200 OK", "{\"state\": \"up\"}")]);
    good.look("").unwrap();
    good.look("body = '\"up\"'").unwrap();
    good.look("status = [200, 204]").unwrap();
    let error = good.look("body = 'down'").unwrap_err();
    let expected = "answered 200 without `down`; the body begins `{\"state\": \"up\"}`";
    assert!(error.contains(expected), "{error}");
    let error = good.look("status = 204").unwrap_err();
    assert!(error.contains("answered 200, not 204;"), "{error}");
    let teapot = Server::with(&[&answer("418 I'm a teapot", "")]);
    teapot.look("status = 418").unwrap();
    let error = teapot.look("").unwrap_err();
    assert!(error.contains("answered 418, not 200 to 299; the body is empty"), "{error}");
}

#[test]
fn errors_at_first_are_forgiven() {
    let bad = answer("500 Internal Server Error", "starting");
    let server = Server::with(&[&bad, &bad, &answer("200 OK", "ready")]);
    let text =
        "interval = '50ms'\nwindow = '0s'\n".to_string() + &server.settings("body = 'ready'");
    assert_eq!(probe(Path::new("/"), &text).unwrap().looks, 3);
}

#[test]
fn errors_to_the_end_are_shown_shortly() {
    let server = Server::with(&[&answer("503 Service Unavailable", &"no database\n".repeat(500))]);
    let error = server.look("").unwrap_err();
    assert!(error.contains("answered 503, not 200 to 299; the body begins `no data"), "{error}");
    assert!(error.len() < 500, "{error}");
}

#[test]
fn the_request_has_its_headers_and_they_stay_secret() {
    let server = Server::with(&[&answer("401 Unauthorized", "")]);
    let error = server.look("header = { Authorization = 'Bearer s3cret', Host = 'app' }");
    assert!(!error.unwrap_err().contains("s3cret"));
    let seen = server.requests.lock().unwrap()[0].to_lowercase();
    assert!(seen.starts_with("get /health http/1.1\n"), "{seen}");
    assert!(seen.contains("authorization: bearer s3cret\n"), "{seen}");
    assert!(seen.contains("host: app\n") && seen.contains("user-agent: piton/"), "{seen}");
}

#[test]
fn redirects_are_not_followed() {
    let server = Server::with(&[
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ]);
    let error = server.look("").unwrap_err();
    assert!(
        error.contains("answered 302 with a redirect to `http://127.0.0.1:1/login`"),
        "{error}"
    );
    server.look("status = 302").unwrap();
}

#[test]
fn one_that_never_answers_costs_no_more_than_the_deadline() {
    let server = Server::new(|_, connection| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(30));
            drop(connection);
        });
    });
    let began = Instant::now();
    let check = |times: &str, timeout: &str| {
        let text = format!("{times}\n{}", server.settings(timeout));
        probe(Path::new("/"), &text).unwrap_err()
    };
    let error = check("deadline = '600ms'", "timeout = '30s'");
    assert!(error.contains("no whole answer within 0.6 s"), "{error}");
    // A short timeout leaves room for more than one attempt.
    let error = check("deadline = '2s'\ninterval = '50ms'", "timeout = '100ms'");
    assert!(error.contains("no whole answer within"), "{error}");
    assert!(server.requests.lock().unwrap().len() > 3);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn one_that_trickles_is_not_waited_for_beyond_the_limit() {
    let server = Server::new(|_, mut connection| {
        thread::spawn(move || {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
            let _ = connection.write_all(head.as_bytes());
            while connection.write_all(b".").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
    });
    let began = Instant::now();
    let error = server.look("body = 'ready'\ntimeout = '1s'").unwrap_err();
    assert!(
        error.contains("answered 200 without `ready`, and then broke off: no whole"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // Where only the status counts, the head is enough.
    server.look("").unwrap();
    server.look("body = '..'").unwrap();
}

#[test]
fn one_that_hangs_up_or_talks_nonsense() {
    let hangs_up = Server::new(|_, connection| drop(connection));
    assert_eq!(hangs_up.look("").unwrap_err(), "Peer disconnected");
    let cut = Server::with(&["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"]);
    let error = cut.look("body = 'whole'").unwrap_err();
    assert!(error.contains("answered 200 without `whole`, and then broke off"), "{error}");
    let nonsense = Server::with(&["220 mail.example ESMTP\r\n"]);
    let error = nonsense.look("").unwrap_err();
    assert!(error.contains("http parse fail"), "{error}");
}

#[test]
fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = format!("[[tcp]]\naddress = '{address}'");
    look(Path::new("/"), &tcp).unwrap();
    drop(listener);
    let error = look(Path::new("/"), &tcp).unwrap_err();
    assert!(error.starts_with("no connection: Connection refused"), "{error}");
    let error = look(Path::new("/"), &format!("[[http]]\nurl = 'http://{address}'")).unwrap_err();
    assert!(error.contains("Connection refused"), "{error}");
    let error = look(Path::new("/"), "[[tcp]]\naddress = 'no-such-host.invalid:80'").unwrap_err();
    assert!(error.starts_with("the host is not known"), "{error}");
}
