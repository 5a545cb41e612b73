//! The way out, against servers of this machine that behave badly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::*;

/// A server that reads each request and answers with `answer`; it ends with the test's process.
fn server(answer: impl Fn(&mut std::net::TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || {
                let mut read = vec![0; 65536];
                let _ = stream.read(&mut read);
                answer(&mut stream);
            });
        }
    });
    address
}

fn outward(allowed: &[&str]) -> Outward {
    let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
    Outward::new(&allowed).unwrap()
}

async fn post(outward: &Outward, url: &str) -> Result<Reply, NoReply> {
    outward.exchange(OutRequest::post(url, HeaderMap::new(), "{}".to_owned()), Reads::Status).await
}

#[tokio::test]
async fn this_machine_is_reached_only_where_the_operator_says_so() {
    let there = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
    });
    let (closed, open) = (outward(&[]), outward(&["127.0.0.0/8", "::1/128"]));
    for url in [format!("http://{there}/"), format!("http://localhost:{}/", there.port())] {
        let refused = post(&closed, &url).await.unwrap_err();
        assert!(
            matches!(&refused, NoReply::NotAllowed(why) if why.contains("allowed_networks")),
            "{refused:?}"
        );
        assert_eq!(post(&open, &url).await.unwrap().status, 204, "{url}");
    }
    // With TLS it is the address that counts too, before a word is exchanged.
    let refused = post(&closed, &format!("https://localhost:{}/", there.port())).await.unwrap_err();
    assert!(matches!(refused, NoReply::NotAllowed(_)), "{refused:?}");
}

/// The way out where `hook.test` has these addresses, one answer after another and the last for ever; and how often it was asked for.
fn named(allowed: &[&str], answers: Vec<Vec<&str>>) -> (Outward, Arc<AtomicUsize>) {
    let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
    let answers: Vec<Vec<SocketAddr>> = answers
        .into_iter()
        .map(|answer| answer.into_iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect())
        .collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let lookup: Lookup = Arc::new({
        let asked = asked.clone();
        move |name| {
            assert_eq!(name, "hook.test");
            let number = asked.fetch_add(1, Ordering::Relaxed);
            let answer = answers[number.min(answers.len() - 1)].clone();
            Box::pin(async move { Ok(answer) })
        }
    });
    (Outward::asking(&allowed, rustls::RootCertStore::empty(), &lookup).unwrap(), asked)
}

/// A server on every address of this machine, which counts who comes.
fn counting() -> (u16, Arc<AtomicUsize>) {
    let came = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = came.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::Relaxed);
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut vec![0; 65536]);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    (port, came)
}

#[tokio::test]
async fn of_a_name_with_open_and_closed_addresses_only_the_open_ones_are_used() {
    let (port, came) = counting();
    let url = format!("http://hook.test:{port}/");
    // Nobody listens at ::1; whoever kept the closed address would get an answer from it.
    let (outward, _) = named(&["::1/128"], vec![vec!["127.0.0.2", "::1"]]);
    let failed = post(&outward, &url).await.unwrap_err();
    assert!(matches!(failed, NoReply::Failed(_)), "{failed:?}");
    assert_eq!(came.load(Ordering::Relaxed), 0, "nobody came by the closed one");
    let (outward, _) = named(&["127.0.0.1/32"], vec![vec!["127.0.0.2", "10.0.0.1", "127.0.0.1"]]);
    assert_eq!(post(&outward, &url).await.unwrap().status, 204);
}

#[tokio::test]
async fn a_name_of_a_closed_address_is_refused_however_the_address_is_written() {
    let (port, came) = counting();
    for answer in
        ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "127.0.0.1", "fd00:ec2::254", "64:ff9b::7f00:1"]
    {
        for scheme in ["http", "https"] {
            let (outward, _) = named(&[], vec![vec![answer]]);
            let refused = post(&outward, &format!("{scheme}://hook.test:{port}/")).await.unwrap_err();
            assert!(
                matches!(&refused, NoReply::NotAllowed(why) if why.contains("hook.test")),
                "{scheme} {answer}: {refused:?}"
            );
        }
    }
    assert_eq!(came.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_name_that_is_pointed_elsewhere_later_leads_nowhere() {
    let (port, came) = counting();
    let (outward, asked) = named(&["127.0.0.1/32"], vec![vec!["127.0.0.1"], vec!["127.0.0.2"]]);
    let url = format!("http://hook.test:{port}/");
    assert_eq!(post(&outward, &url).await.unwrap().status, 204);
    let refused = post(&outward, &url).await.unwrap_err();
    assert!(matches!(refused, NoReply::NotAllowed(_)), "{refused:?}");
    assert_eq!((asked.load(Ordering::Relaxed), came.load(Ordering::Relaxed)), (2, 1), "looked up for each");
}

#[tokio::test]
async fn a_redirect_into_the_network_is_not_followed() {
    let inside = server(|_| panic!("somebody came"));
    let there = server(move |stream| {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{inside}/\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
    });
    assert_eq!(post(&outward(&["127.0.0.0/8"]), &format!("http://{there}/")).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_body_without_end_is_not_waited_for() {
    let there = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 1000]).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let began = Instant::now();
    let reply = post(&outward(&["127.0.0.0/8"]), &format!("http://{there}/")).await.unwrap();
    assert!(reply.status == 200 && reply.body.len() <= MOST_READ && began.elapsed() < DEADLINE);
    assert!(reply.excerpt().len() <= MOST_TOLD + 2);
}

/// Each of these begins to answer at once; the rest of it comes later than anybody waits who needs the status alone.
#[tokio::test]
async fn words_and_documents_are_waited_for_and_read_to_their_end() {
    let length = 3 << 20;
    let there = server(move |stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\no");
        let _ = stream.write_all(head.as_bytes());
        thread::sleep(REST + Duration::from_millis(500));
        let _ = stream.write_all(&vec![b'k'; length - 1]);
    });
    let (outward, url) = (outward(&["127.0.0.0/8"]), format!("http://{there}/"));
    let read = async |reads| {
        let request = OutRequest::post(&url, HeaderMap::new(), "{}".to_owned());
        outward.exchange(request, reads).await.unwrap().body.len()
    };
    let all = tokio::join!(read(Reads::Status), read(Reads::Words), read(Reads::Document));
    assert_eq!(all, (1, MOST_READ, length));
}

#[tokio::test]
async fn what_went_wrong_is_told_without_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let failed = post(&outward(&["127.0.0.0/8"]), &format!("http://{nobody}/secret-path")).await.unwrap_err();
    let NoReply::Failed(why) = failed else { panic!("{failed:?}") };
    assert!(why.contains("no connection") && !why.contains("secret-path"), "{why}");
}

/// A server of this machine that speaks TLS as `localhost`, and the authority that vouches for it.
async fn secure() -> (rustls::RootCertStore, u16) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (config, authority) = undertone_testkit::certificates::localhost();
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(authority).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A caller who does not trust us hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut bytes = vec![0; 65_536];
            let _ = stream.read(&mut bytes).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    (trusted, port)
}

#[tokio::test]
async fn with_tls_only_who_is_trusted_under_their_own_name_gets_anything() {
    let (authority, port) = secure().await;
    let named: Vec<IpNet> = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()).to_vec();
    let knows = Outward::trusting(&named, authority.clone()).unwrap();
    let url = format!("https://localhost:{port}/hook-marker");
    assert_eq!(post(&knows, &url).await.unwrap().status, 204, "looked up, filtered, and trusted");
    let told = async |outward: &Outward, url: &str| match post(outward, url).await {
        Err(NoReply::Failed(why)) => why,
        other => panic!("{other:?}"),
    };
    let stranger = Outward::new(&named).unwrap();
    let why = told(&stranger, &url).await;
    assert!(why.contains("UnknownIssuer") && !why.contains("marker"), "{why}");
    // It is vouched for as localhost, and called by its number.
    let why = told(&knows, &format!("https://127.0.0.1:{port}/hook-marker")).await;
    assert!(why.contains("not valid for name") && !why.contains("marker"), "{why}");
    // Trusted or not, it stands in a network that is closed.
    let closed = Outward::trusting(&[], authority).unwrap();
    assert!(matches!(post(&closed, &url).await, Err(NoReply::NotAllowed(_))));
}
