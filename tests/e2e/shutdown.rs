//! The end: nothing new is accepted, what runs may finish, exit code 0.

use std::{net::TcpStream, sync::mpsc, time::Duration};

use harness::{
    client::Outcome,
    expect::eventually,
    gateway::{PROFILE, Scene},
    origin::{Origin, Then},
};

#[test]
fn sigterm_lets_a_running_request_finish_and_exits_0() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::serving(move |_, stream| {
        use std::io::Write as _;
        let _ = released.lock().unwrap().recv_timeout(harness::expect::DEADLINE);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")?;
        Ok(Then::Keep)
    });
    let scene = Scene::before(origin.address());
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut idle = client.connect().unwrap();
    let mut running = client.connect().unwrap();
    let request = client.get_request(PROFILE, &[]);
    running.write(&request).unwrap();
    origin.wait_for(1);
    gateway.process.signal("TERM");
    let address = gateway.address();
    eventually("the closed port", || TcpStream::connect(address).is_err().then_some(()));
    assert!(matches!(idle.read_to_end(), Outcome::Closed), "an idle connection is closed at once");
    release.send(()).unwrap();
    let answer = running.read_answer(&request).answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert_eq!(gateway.process.wait().code(), Some(0));
    let record = gateway.audit.next_where("the last request", |record| record.text("event") == "request");
    assert_eq!(record.number("status"), Some(200), "the record was written before the end");
}

#[test]
fn a_request_that_does_not_finish_in_time_does_not_keep_the_gateway() {
    let origin = Origin::serving(|_, stream| harness::origin::hold(stream));
    let mut scene = Scene::before(origin.address());
    scene.config.limit("shutdown-timeout = \"300ms\"");
    let mut gateway = scene.start();
    let client = scene.client(&gateway, &scene.phone());
    let mut running = client.connect().unwrap();
    running.write(&client.get_request(PROFILE, &[])).unwrap();
    origin.wait_for(1);
    let start = std::time::Instant::now();
    assert_eq!(gateway.stop().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn an_idle_gateway_stops_at_once() {
    for signal in ["TERM", "INT"] {
        let scene = Scene::new();
        let mut gateway = scene.start();
        gateway.process.signal(signal);
        assert_eq!(gateway.process.wait().code(), Some(0), "{signal}");
    }
}
