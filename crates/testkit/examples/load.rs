//! Posts single interactions from several clients at once and says how long each took, for `make bench-service`.
//!
//! `load ADDRESS KEY CLIENTS SECONDS` prints JSON: requests a second, median, 99th percentile.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement, not the product")]

use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, key, clients, seconds] = arguments.as_slice() else {
        panic!("load ADDRESS KEY CLIENTS SECONDS")
    };
    let (clients, seconds): (usize, u64) = (clients.parse().unwrap(), seconds.parse().unwrap());
    let run = std::process::id();
    let end = Instant::now() + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..clients)
        .map(|client| {
            let (address, key) = (address.clone(), key.clone());
            std::thread::spawn(move || {
                let http = ureq::Agent::new_with_defaults();
                let mut millis = Vec::new();
                while Instant::now() < end {
                    let body = format!(
                        "{{\"external_id\":\"{run}-{client}-{}\",\"customer\":\"c{}\",\"channel\":\"email\",\"text\":\"The parcel came late again and nobody told me anything; I have been waiting at home for two days now and I would like to know what happens next.\"}}",
                        millis.len(),
                        millis.len() % 100
                    );
                    let begun = Instant::now();
                    let answer = http
                        .post(format!("{address}/api/v1/interactions"))
                        .header("Authorization", format!("Bearer {key}"))
                        .header("Content-Type", "application/json")
                        .send(&body);
                    // Read to its end, or the connection would not be used again.
                    answer.unwrap().body_mut().read_to_vec().unwrap();
                    millis.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                millis
            })
        })
        .collect();
    let mut millis: Vec<f64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| millis[((millis.len() - 1) as f64 * share) as usize];
    println!(
        "{{\"clients\": {clients}, \"per_s\": {:.0}, \"p50_ms\": {:.1}, \"p99_ms\": {:.1}, \"requests\": {}}}",
        millis.len() as f64 / seconds as f64,
        at(0.5),
        at(0.99),
        millis.len()
    );
}
