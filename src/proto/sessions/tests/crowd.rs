//! Many at once: joiners for few seats, silent connects, a full house.

use super::*;

#[test]
fn twenty_joiners_for_three_seats() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        net.jitter = 3_000;
        let a = net.node();
        let (host, key) = net.host(a, room(4));
        let joiners: Vec<_> = (0..20).map(|_| net.node()).collect();
        let asked: Vec<_> = joiners.iter().map(|&node| (node, net.ask_join(node, key))).collect();
        net.settle();
        let seated = asked.iter().filter(|(node, request)| net.answer(*node, *request).is_ok()).count();
        assert_eq!(seated, 3);
        let full = |(node, request): &&(usize, RequestId)| {
            net.answer(*node, *request).is_err_and(|error| error.refusal() == Some(&Refusal::Full))
        };
        assert_eq!(asked.iter().filter(full).count(), 17, "no refusal is lost");
        assert_eq!(net.view(a, host).members.len(), 4);
        assert_eq!(net.nodes[a].adverts[&key].facts.open_slots, 0);
    }
}

/// Connects that never say a word, from this address.
fn silent(net: &mut Net, node: usize, key: SessionKey, from: IpAddr, count: u16) {
    for port in 0..count {
        let link = LinkId(net.nodes[node].next_incoming);
        net.nodes[node].next_incoming += 2;
        let remote = SocketAddr::new(from, 1_024 + port);
        net.post(net.now, node, LinkEvent::Incoming { link, session: key, remote });
    }
}

#[test]
fn a_thousand_silent_connects_delay_nobody_even_from_the_joiners_address() {
    let mut net = Net::new(1);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (_, key) = net.host(a, room(8));
    let (own, other) = (net.nodes[b].ip, IpAddr::from([10, 9, 9, 9]));
    silent(&mut net, a, key, own, 1_000);
    silent(&mut net, a, key, other, 1_000);
    net.run(MS);
    for node in [b, c] {
        let request = net.ask_join(node, key);
        net.run(20 * MS);
        net.seat_of(node, request);
    }
    assert!(net.nodes[a].sessions.core.doorman.len() <= limits::PRE_SEAT);
    net.run(2 * SECOND);
    assert_eq!(net.nodes[a].sessions.core.doorman.len(), 0, "a second without a byte ends them");
}

#[test]
fn a_flood_that_goes_on_while_one_joins_may_cost_it_a_retry_and_no_more() {
    let mut net = Net::new(2);
    let (a, b) = (net.node(), net.node());
    let (_, key) = net.host(a, room(8));
    let own = net.nodes[b].ip;
    let request = net.ask_join(b, key);
    for _ in 0..200 {
        silent(&mut net, a, key, own, 20);
        net.run(MS);
    }
    net.seat_of(b, request);
}

#[test]
fn a_hundred_members_see_one_state() {
    let mut net = Net::new(3);
    net.jitter = 2_000;
    let a = net.node();
    let (host, key) = net.host(a, room(100));
    let nodes: Vec<_> = (0..99).map(|_| net.node()).collect();
    let asked: Vec<_> = nodes.iter().map(|&node| (node, net.ask_join(node, key))).collect();
    net.run(2 * SECOND);
    for (node, request) in asked {
        let seat = net.seat_of(node, request);
        assert_eq!(net.view(node, seat), net.view(a, host));
    }
    let mut numbers: Vec<_> = net.view(a, host).members.iter().map(|member| member.number).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), 100);
}

#[test]
fn caps_name_themselves() {
    let mut net = Net::new(4);
    let a = net.node();
    for at in 0..limits::HOSTED {
        net.host(a, HostRequest::new(room(2)).local_name(format!("s{at}")));
    }
    let request = net.request(a);
    let account = net.account(a);
    let what = HostRequest::new(room(2)).local_name("one more");
    net.nodes[a].sessions.host(net.now, request, account, what, 0);
    net.drain();
    let error = net.answer(a, request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidState);
    assert!(error.to_string().contains("64"), "{error}");
}
