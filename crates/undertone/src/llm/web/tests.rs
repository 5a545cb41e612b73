use std::future::Future;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use undertone_llm_server::{LABEL, NOT_A_MODEL, Script, Server};
use undertone_testkit::certificates::localhost;

use super::*;

const KEY: &str = "marker-of-a-key";

fn quick() -> Web {
    let bounds = Bounds {
        connect: Duration::from_millis(500),
        exchange: Duration::from_millis(700),
        lines: Duration::from_secs(20),
        answer: 1 << 20,
    };
    Web::within(bounds, RootCertStore::empty()).unwrap()
}

fn call(url: String) -> Call {
    let headers = vec![("content-type", "application/json".to_owned()), ("x-api-key", KEY.to_owned())];
    Call { method: Method::Post, url, headers, body: b"{\"text\": \"marker-of-a-text\"}".to_vec() }
}

/// A server that does `work` with each connection; answers its address and tells what came first on each.
async fn serve<F: Future<Output = ()> + Send + 'static>(
    work: impl Fn(TcpStream) -> F + Send + Copy + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream));
        }
    });
    address.to_string()
}

async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 65_536];
    let count = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[tokio::test]
async fn an_answer_comes_back_as_it_is() {
    let noon = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let server = Server::start(Script::new(Arc::new(move || noon))).unwrap();
    // A base address may have a key that is wrong: that is an answer too.
    let answer = Web::new().unwrap().send(call(format!("{}/v1/messages", server.url()))).await.unwrap();
    assert_eq!(answer.status, 401);
    assert!(answer.headers.contains(&(LABEL.to_owned(), NOT_A_MODEL.to_owned())), "{:?}", answer.headers);
    assert!(String::from_utf8_lossy(&answer.body).contains("authentication_error"));
    let seen = &server.requests()[0];
    assert_eq!(seen.header("user-agent"), Some(USER_AGENT));
    assert_eq!((seen.header("x-api-key"), seen.method.as_str()), (Some(KEY), "POST"));
    assert_eq!(seen.body, "{\"text\": \"marker-of-a-text\"}");
}

#[tokio::test]
async fn a_key_does_not_follow_a_redirect() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = elsewhere.local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let told =
            format!("HTTP/1.1 307 Elsewhere\r\nLocation: http://{location}/v1\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(told.as_bytes()).await.unwrap();
    });
    let answer = quick().send(call(format!("http://{address}/v1"))).await.unwrap();
    assert_eq!(answer.status, 307);
    assert!(elsewhere.accept().now_or_never().is_none(), "nobody came there");
}

#[tokio::test]
async fn only_without_a_connection_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let gone = serve(|mut stream| async move {
        request(&mut stream).await;
    })
    .await;
    let silent = serve(|mut stream| async move {
        request(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    })
    .await;
    let halfway = serve(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{").await;
    })
    .await;
    let babbling = serve(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"not HTTP at all\r\n\r\n").await;
    })
    .await;
    for (host, sent, told) in [
        (&closed, false, "no connection: "),
        (&gone, true, "the connection broke off: "),
        (&silent, true, "no answer within 700ms"),
        (&halfway, true, "the connection broke off: "),
        (&babbling, true, "the connection broke off: "),
    ] {
        let begun = Instant::now();
        let error = quick().send(call(format!("http://user:marker@{host}/v1/marker"))).await.unwrap_err();
        assert_eq!(error.sent, sent, "{error}");
        assert!(error.detail.starts_with(&format!("{host}: {told}")), "{error}");
        assert!(!error.detail.contains("marker"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{error}");
    }
    let error = quick().send(call("no address".to_owned())).await.unwrap_err();
    assert!(!error.sent && error.detail.starts_with("no request can be made"), "{error}");
    let error = quick().send(call("http://undertone.invalid/v1".to_owned())).await.unwrap_err();
    assert!(!error.sent && error.detail.starts_with("undertone.invalid: no connection"), "{error}");
}

#[tokio::test]
async fn an_endless_answer_is_given_up() {
    let endless = serve(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let part = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while stream.write_all(part.as_bytes()).await.is_ok() {}
    })
    .await;
    let error = quick().send(call(format!("http://{endless}/v1"))).await.unwrap_err();
    assert_eq!(error, Unreachable { detail: format!("{endless} answers more than 1 MiB"), sent: true });
}

#[tokio::test]
async fn an_answer_in_lines_may_be_of_any_length_and_take_its_time() {
    // Three lines of 700 KB, cut anywhere, of which the second repeats the key and the last has no end.
    let lines = |count: usize| -> Vec<u8> {
        let line = |n: usize| format!("{n} {} {}", if n == 2 { KEY } else { "" }, "x".repeat(700_000));
        (1..=count).map(line).collect::<Vec<_>>().join("\n").into_bytes()
    };
    let slow = serve(move |mut stream| async move {
        request(&mut stream).await;
        let body = lines(3);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).await;
        for part in body.chunks(450_000) {
            let _ = stream.write_all(part).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    })
    .await;
    let mut seen = Vec::new();
    let mut see = |line: &[u8]| seen.push((line[0], line.len(), line.ends_with(b"x")));
    let answer = quick().lines(call(format!("http://{slow}/v1")), &mut see).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let whole = 3 + 700_000;
    assert_eq!(seen, [(b'1', whole, true), (b'2', whole + "…".len(), true), (b'3', whole, true)]);

    // One line that is too long, one that never ends, and an answer that is none.
    let endless = serve(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let part = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while stream.write_all(part.as_bytes()).await.is_ok() {}
    })
    .await;
    let stalled = serve(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na\nb").await;
        tokio::time::sleep(Duration::from_secs(20)).await;
    })
    .await;
    let refusing = serve(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nno\nno").await;
    })
    .await;
    let mut count = 0;
    let mut see = |_: &[u8]| count += 1;
    let mut told = async |host: &str| quick().lines(call(format!("http://{host}/v1")), &mut see).await;
    let too_long = told(&endless).await.unwrap_err();
    assert_eq!(too_long.detail, format!("{endless} answers more than 1 MiB"));
    let late = told(&stalled).await.unwrap_err();
    assert_eq!(late, Unreachable { detail: format!("{stalled}: no answer within 700ms"), sent: true });
    let refused = told(&refusing).await.unwrap();
    assert_eq!((refused.status, refused.body.as_slice()), (404, &b"no\nno"[..]));
    assert_eq!(count, 1, "the one that had come before it stalled");
}

#[tokio::test]
async fn a_key_that_is_repeated_goes_no_further() {
    let echo = serve(|mut stream| async move {
        let seen = request(&mut stream).await;
        let of =
            |name: &str| seen.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        let told = format!("no {}, no {}, none", of("x-api-key: "), of("authorization: Bearer "));
        let answer = format!("HTTP/1.1 401 No\r\nContent-Length: {}\r\n\r\n{told}", told.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    for (name, value, expected) in [
        ("x-api-key", KEY.to_owned(), "no …, no , none"),
        ("authorization", format!("Bearer {KEY}"), "no , no …, none"),
        ("x-api-key", "none".to_owned(), "no none, no , none"),
    ] {
        let asked = Call { headers: vec![(name, value)], ..call(format!("http://{echo}/v1")) };
        let answer = quick().send(asked).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    }
}

#[tokio::test]
async fn nobody_sees_a_key_in_what_is_printed() {
    let shown = format!("{:?} {:?}", quick(), headers(call(String::new()).headers));
    assert!(!shown.contains(KEY) && shown.contains("Sensitive"), "{shown}");
}

/// The authority of a company, and a server with a certificate of it.
async fn secure() -> (RootCertStore, String) {
    let (config, authority) = localhost();
    let mut trusted = RootCertStore::empty();
    trusted.add(authority).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A caller who does not trust us hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut bytes = vec![0; 65_536];
            let _ = stream.read(&mut bytes).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
            let _ = stream.shutdown().await;
        }
    });
    (trusted, format!("https://localhost:{port}/v1"))
}

#[tokio::test]
async fn who_is_not_trusted_gets_nothing() {
    let (trusted, url) = secure().await;
    let answer = Web::within(BOUNDS, trusted).unwrap().send(call(url.clone())).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
    let error = Web::new().unwrap().send(call(url)).await.unwrap_err();
    assert!(!error.sent && error.detail.contains("UnknownIssuer"), "{error}");
}

#[test]
fn a_machine_without_a_list_of_its_own_trusts_whom_browsers_trust() {
    assert!(trusted().roots.len() >= webpki_roots::TLS_SERVER_ROOTS.len());
    assert!(webpki_roots::TLS_SERVER_ROOTS.len() > 50);
}

#[test]
fn this_machine_is_known() {
    for url in ["http://localhost:1/v1", "http://127.0.0.1", "http://127.3.2.1:9/", "https://[::1]:8000/v1"] {
        assert!(is_this_machine(url), "{url}");
    }
    for url in [
        "https://api.anthropic.com",
        "http://10.0.0.1",
        "http://localhost.example",
        "nonsense",
        "http://[::2]",
    ] {
        assert!(!is_this_machine(url), "{url}");
    }
}
