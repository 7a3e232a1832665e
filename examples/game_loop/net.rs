//! The game's own packets: UDP, small, and each authenticated with the key that the session gives for its member.
//!
//! `G`, the member's number (1 byte), a sequence number (8 bytes, big endian), the body, a tag of 16 bytes. The tag is
//! HMAC-SHA256 over all before it, cut to 16 bytes, under a key for this direction drawn from `Session::game_key`: nobody
//! else on the LAN has that, so nobody else can steer Ada's runner or move the board under her. A number that is not above
//! the last one taken is a replay, or was overtaken on the way: old either way.
//!
//! Nothing here is secret: it is a game on a board that all can see. Who wants that encrypts the body (`ring::aead`).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use lansession::{Error, Session};
use ring::hmac;

use super::board::{Heading, State};

const MARK: u8 = b'G';
const HEAD: usize = 10;
const TAG: usize = 16;
/// No packet of ours is longer.
const LONGEST: usize = 256;
/// Packets that one frame reads: a flood costs packets, not the frame rate.
const PER_FRAME: usize = 512;
/// Who is not heard so long stands still.
const SILENCE: Duration = Duration::from_secs(1);

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Host,
    Member,
}

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No packet of this game.
    Malformed,
    /// Of a member that is not here.
    Unknown,
    /// The tag is wrong.
    Forged,
    /// It, or a later one, was here before.
    Replayed,
}

/// Packets, for the summary and the curious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) taken: u64,
    pub(crate) malformed: u64,
    pub(crate) unknown: u64,
    pub(crate) forged: u64,
    pub(crate) replayed: u64,
}

impl Counts {
    pub(crate) fn refused(&self) -> u64 {
        self.malformed + self.unknown + self.forged + self.replayed
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.taken += other.taken;
        self.malformed += other.malformed;
        self.unknown += other.unknown;
        self.forged += other.forged;
        self.replayed += other.replayed;
    }

    fn refuse(&mut self, why: Refused) {
        *match why {
            Refused::Malformed => &mut self.malformed,
            Refused::Unknown => &mut self.unknown,
            Refused::Forged => &mut self.forged,
            Refused::Replayed => &mut self.replayed,
        } += 1;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, taken, malformed, unknown, forged, replayed } = self;
        write!(f, "{sent} sent, {taken} taken, {} refused ", self.refused())?;
        write!(f, "({malformed} malformed, {unknown} unknown, {forged} forged, {replayed} replayed)")
    }
}

/// One member's packets, at either end.
pub(crate) struct Channel {
    number: u8,
    seals: hmac::Key,
    opens: hmac::Key,
    sent: u64,
    taken: u64,
}

impl Channel {
    pub(crate) fn new(side: Side, number: u8, game_key: &[u8; 32]) -> Self {
        // One key for each direction: a packet that is sent back to its sender must not pass for an answer.
        let root = hmac::Key::new(hmac::HMAC_SHA256, game_key);
        let key = |purpose: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, purpose).as_ref());
        let (up, down) = (key(b"gems: to the host"), key(b"gems: to a member"));
        let (seals, opens) = if side == Side::Host { (down, up) } else { (up, down) };
        Self { number, seals, opens, sent: 0, taken: 0 }
    }

    pub(crate) fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        self.sent += 1;
        let mut packet = Vec::with_capacity(HEAD + body.len() + TAG);
        packet.extend([MARK, self.number]);
        packet.extend(self.sent.to_be_bytes());
        packet.extend(body);
        packet.extend(tag(&self.seals, &packet));
        packet
    }

    /// The body, if the packet is the other end's and new.
    pub(crate) fn open<'a>(&mut self, packet: &'a [u8]) -> Result<&'a [u8], Refused> {
        let (all, theirs) = packet.split_last_chunk::<TAG>().ok_or(Refused::Malformed)?;
        let (head, body) = all.split_first_chunk::<HEAD>().ok_or(Refused::Malformed)?;
        let [mark, number, sequence @ ..] = *head;
        if mark != MARK {
            return Err(Refused::Malformed);
        }
        if number != self.number {
            return Err(Refused::Unknown);
        }
        if !same(&tag(&self.opens, all), theirs) {
            return Err(Refused::Forged);
        }
        // Only after the tag: else a forger could push the number on and shut the member out.
        let sequence = u64::from_be_bytes(sequence);
        if sequence <= self.taken {
            return Err(Refused::Replayed);
        }
        self.taken = sequence;
        Ok(body)
    }
}

fn tag(key: &hmac::Key, bytes: &[u8]) -> [u8; TAG] {
    let mut tag = [0; TAG];
    for (to, from) in tag.iter_mut().zip(hmac::sign(key, bytes).as_ref()) {
        *to = *from;
    }
    tag
}

/// Compares without telling by its time where they differ: ring does that for whole tags, so tags of both are compared.
fn same(a: &[u8], b: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[]);
    hmac::verify(&key, a, hmac::sign(&key, b).as_ref()).is_ok()
}

/// A socket for each family that this machine has; none of them ever blocks.
struct Sockets(Vec<UdpSocket>);

/// Which socket, and who at its other end.
type Path = (usize, SocketAddr);

impl Sockets {
    /// The host's: one port for IPv4 and IPv6. Where the system's IPv6 sockets take IPv4 too, one socket is both.
    fn one_port(loopback: bool) -> io::Result<(Self, u16)> {
        let (v6, v4) = if loopback {
            (Ipv6Addr::LOCALHOST, Ipv4Addr::LOCALHOST)
        } else {
            (Ipv6Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
        };
        let first = bind(v4.into(), 0)?;
        let port = first.local_addr()?.port();
        let Ok(second) = bind(v6.into(), port) else {
            // Taken: by the IPv4 socket itself, on systems where IPv6 includes it.
            drop(first);
            let both = bind(v6.into(), port).or_else(|_| bind(v4.into(), port))?;
            return Ok((Self(vec![both]), port));
        };
        Ok((Self(vec![first, second]), port))
    }

    /// A member's: any port.
    fn any_port(loopback: bool) -> io::Result<Self> {
        let (v6, v4) = if loopback {
            (Ipv6Addr::LOCALHOST, Ipv4Addr::LOCALHOST)
        } else {
            (Ipv6Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
        };
        let mut sockets = vec![bind(v4.into(), 0)?];
        sockets.extend(bind(v6.into(), 0));
        Ok(Self(sockets))
    }

    /// Hands over up to [`PER_FRAME`] packets that have come.
    fn receive(&self, mut each: impl FnMut(Path, &[u8])) {
        let mut buffer = [0; LONGEST];
        for (at, socket) in self.0.iter().enumerate() {
            for _ in 0..PER_FRAME {
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => each((at, from), buffer.get(..length).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Of one packet: too long, or (on Windows) word that an earlier one of ours came to nobody.
                    Err(_) => {}
                }
            }
        }
    }

    /// A packet that cannot be sent is a packet lost; the next one is due in a twentieth of a second.
    fn send(&self, (at, to): Path, packet: &[u8]) -> bool {
        self.0.get(at).is_some_and(|socket| socket.send_to(packet, to).is_ok())
    }

    fn send_to(&self, to: SocketAddr, packet: &[u8]) -> bool {
        let fits = |socket: &UdpSocket| socket.local_addr().is_ok_and(|own| own.is_ipv4() == to.is_ipv4());
        self.0.iter().position(fits).is_some_and(|at| self.send((at, to), packet))
    }
}

fn bind(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

struct Peer {
    key: [u8; 32],
    channel: Channel,
    /// Where its last good packet came from. Nothing is sent before: nobody can point our packets at a third.
    path: Option<Path>,
    heard: Option<Instant>,
}

/// The host's end: one socket, a channel for each member.
pub(crate) struct HostNet {
    sockets: Sockets,
    port: u16,
    peers: BTreeMap<u8, Peer>,
    pub(crate) counts: Counts,
}

impl HostNet {
    pub(crate) fn open(loopback: bool) -> io::Result<Self> {
        let (sockets, port) = Sockets::one_port(loopback)?;
        Ok(Self { sockets, port, peers: BTreeMap::new(), counts: Counts::default() })
    }

    /// What the session's settings advertise as `game`.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Takes over who is in the session. A member that lost its link and came back has a new key.
    pub(crate) fn follow(&mut self, session: &Session) {
        let snapshot = session.snapshot();
        let keys = snapshot
            .members
            .iter()
            .filter_map(|member| Some((u8::try_from(member.number).ok()?, session.game_key(member.account).ok()?)));
        self.seat(&keys.collect());
    }

    pub(crate) fn seat(&mut self, keys: &BTreeMap<u8, [u8; 32]>) {
        self.peers.retain(|number, peer| keys.get(number) == Some(&peer.key));
        for (&number, &key) in keys {
            let fresh = || Peer { key, channel: Channel::new(Side::Host, number, &key), path: None, heard: None };
            self.peers.entry(number).or_insert_with(fresh);
        }
    }

    /// Where the members run to; those that are not heard any more stand still.
    pub(crate) fn receive(&mut self, now: Instant) -> Vec<(u8, Heading)> {
        let Self { sockets, peers, counts, .. } = self;
        let mut headings = Vec::new();
        sockets.receive(|path, packet| match take(peers, path, packet, now) {
            Ok(heading) => {
                counts.taken += 1;
                headings.push(heading);
            }
            Err(why) => counts.refuse(why),
        });
        for (&number, peer) in &*peers {
            if peer.heard.is_some_and(|heard| now.saturating_duration_since(heard) > SILENCE) {
                headings.push((number, Heading::Still));
            }
        }
        headings
    }

    /// Sends the state to every member that has been heard.
    pub(crate) fn send(&mut self, state: &State) {
        let body = state.to_bytes();
        for peer in self.peers.values_mut() {
            if let Some(path) = peer.path {
                let packet = peer.channel.seal(&body);
                self.counts.sent += u64::from(self.sockets.send(path, &packet));
            }
        }
    }
}

fn take(peers: &mut BTreeMap<u8, Peer>, path: Path, packet: &[u8], now: Instant) -> Result<(u8, Heading), Refused> {
    let &number = packet.get(1).ok_or(Refused::Malformed)?;
    if packet.first() != Some(&MARK) {
        return Err(Refused::Malformed);
    }
    let peer = peers.get_mut(&number).ok_or(Refused::Unknown)?;
    let &[heading] = peer.channel.open(packet)? else { return Err(Refused::Malformed) };
    let heading = Heading::from_byte(heading).ok_or(Refused::Malformed)?;
    peer.path = Some(path);
    peer.heard = Some(now);
    Ok((number, heading))
}

/// A member's end: one channel, to the host.
pub(crate) struct MemberNet {
    sockets: Sockets,
    key: [u8; 32],
    channel: Channel,
    /// The host's, best first.
    addresses: Vec<SocketAddr>,
    /// Where its last good packet came from.
    path: Option<Path>,
    pub(crate) counts: Counts,
}

impl MemberNet {
    /// For a session that was just joined.
    pub(crate) fn open(session: &Session, loopback: bool) -> Result<Self, OpenError> {
        let (number, key) = own_key(session)?;
        Ok(Self {
            sockets: Sockets::any_port(loopback)?,
            key,
            channel: Channel::new(Side::Member, number, &key),
            addresses: session.endpoint("game")?.addrs().to_vec(),
            path: None,
            counts: Counts::default(),
        })
    }

    /// A link that was lost and is back has another key, and maybe other addresses.
    pub(crate) fn follow(&mut self, session: &Session) {
        let Ok((number, key)) = own_key(session) else { return };
        if key != self.key {
            self.key = key;
            self.channel = Channel::new(Side::Member, number, &key);
            self.path = None;
            if let Ok(endpoint) = session.endpoint("game") {
                self.addresses = endpoint.addrs().to_vec();
            }
        }
    }

    /// The newest state, if one came.
    pub(crate) fn receive(&mut self) -> Option<State> {
        let Self { sockets, channel, path, counts, .. } = self;
        let mut newest = None;
        sockets.receive(|from, packet| {
            match channel.open(packet).and_then(|body| State::from_bytes(body).ok_or(Refused::Malformed)) {
                Ok(state) => {
                    counts.taken += 1;
                    *path = Some(from);
                    newest = Some(state);
                }
                Err(why) => counts.refuse(why),
            }
        });
        newest
    }

    /// Says where we run to: to the address that answers, and before one does to each in turn.
    pub(crate) fn send(&mut self, heading: Heading) {
        let packet = self.channel.seal(&[heading.to_byte()]);
        let sent = match (self.path, self.addresses.first()) {
            (Some(path), _) => self.sockets.send(path, &packet),
            (None, Some(&to)) => {
                self.addresses.rotate_left(1);
                self.sockets.send_to(to, &packet)
            }
            (None, None) => false,
        };
        self.counts.sent += u64::from(sent);
    }
}

/// Our number in the session and the key that we share with its host.
fn own_key(session: &Session) -> Result<(u8, [u8; 32]), Error> {
    let me = session.user().id();
    let key = session.game_key(me)?;
    let number = session.snapshot().member(me).map_or(0, |member| member.number);
    // A room of this game has eight seats.
    Ok((u8::try_from(number).unwrap_or(u8::MAX), key))
}

/// Why the game's own socket could not be had.
#[derive(Debug)]
pub(crate) enum OpenError {
    Session(Error),
    Socket(io::Error),
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Socket(error) => write!(f, "no UDP socket for the game: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn ends() -> (Channel, Channel) {
        (Channel::new(Side::Host, 3, &KEY), Channel::new(Side::Member, 3, &KEY))
    }

    #[test]
    fn a_packet_opens_at_the_other_end_once() {
        let (mut host, mut member) = ends();
        let packet = member.seal(b"hello");
        assert_eq!(packet.len(), HEAD + 5 + TAG);
        assert_eq!(host.open(&packet), Ok(&b"hello"[..]));
        assert_eq!(host.open(&packet), Err(Refused::Replayed));
        assert_eq!(member.open(&host.seal(b"")), Ok(&b""[..]));
    }

    #[test]
    fn what_was_overtaken_is_old() {
        let (mut host, mut member) = ends();
        let (first, second) = (member.seal(b"1"), member.seal(b"2"));
        assert!(host.open(&second).is_ok());
        assert_eq!(host.open(&first), Err(Refused::Replayed));
    }

    #[test]
    fn no_changed_byte_passes_and_none_moves_the_sequence_on() {
        let (mut host, mut member) = ends();
        let packet = member.seal(b"hello");
        for at in 0..packet.len() {
            for bit in 0..8 {
                let mut broken = packet.clone();
                broken[at] ^= 1 << bit;
                let why = host.open(&broken).unwrap_err();
                let expected = match at {
                    0 => Refused::Malformed,
                    1 => Refused::Unknown,
                    _ => Refused::Forged,
                };
                assert_eq!(why, expected, "byte {at}");
            }
        }
        for length in 0..packet.len() {
            assert!(host.open(&packet[..length]).is_err());
        }
        assert!(host.open(&packet).is_ok(), "the true one is still new");
    }

    #[test]
    fn neither_another_members_key_nor_a_reflected_packet_passes() {
        let (mut host, mut member) = ends();
        let mut other = Channel::new(Side::Member, 3, &[8; 32]);
        assert_eq!(host.open(&other.seal(b"x")), Err(Refused::Forged));
        let up = member.seal(b"x");
        assert_eq!(member.open(&up), Err(Refused::Forged));
        let down = host.seal(b"x");
        assert_eq!(host.open(&down), Err(Refused::Forged));
    }

    /// A host with one member, and that member's socket.
    struct Table {
        host: HostNet,
        member: Channel,
        socket: UdpSocket,
        now: Instant,
    }

    impl Table {
        fn new() -> Self {
            let mut host = HostNet::open(true).unwrap();
            host.seat(&BTreeMap::from([(3, KEY)]));
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            Self { host, member: ends().1, socket, now: Instant::now() }
        }

        /// What the host takes of these; each is there when it looks, so it looks until it has seen them all.
        fn takes(&mut self, packets: &[&[u8]]) -> Vec<(u8, Heading)> {
            let counts = |counts: &Counts| counts.taken + counts.refused();
            let before = counts(&self.host.counts);
            for packet in packets {
                self.socket.send_to(packet, (Ipv4Addr::LOCALHOST, self.host.port())).unwrap();
            }
            let mut taken = Vec::new();
            for _ in 0..1_000 {
                taken.extend(self.host.receive(self.now));
                if counts(&self.host.counts) - before == packets.len() as u64 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            taken
        }
    }

    #[test]
    fn forged_replayed_and_senseless_packets_are_counted_and_steer_nobody() {
        let mut table = Table::new();
        let good = table.member.seal(&[Heading::Up.to_byte()]);
        let (mut forged, mut unknown) = (good.clone(), good.clone());
        *forged.last_mut().unwrap() ^= 1;
        unknown[1] = 4;
        assert_eq!(table.takes(&[&forged, &unknown, b"", b"junk"]), []);
        assert_eq!(table.takes(&[&good]), [(3, Heading::Up)]);
        let senseless = [table.member.seal(b"?"), table.member.seal(b"12")];
        assert_eq!(table.takes(&[&good, &good, &senseless[0], &senseless[1]]), []);
        let expected = Counts { sent: 0, taken: 1, malformed: 4, unknown: 1, forged: 1, replayed: 2 };
        assert_eq!(table.host.counts, expected);
    }

    #[test]
    fn the_host_answers_where_a_good_packet_came_from_and_nobody_else() {
        let mut table = Table::new();
        let state = State::default();
        table.host.send(&state);
        assert_eq!(table.host.counts.sent, 0, "nobody was heard yet");
        table.takes(&[b"G\x03 a packet with nobody's tag, from anywhere"]);
        table.host.send(&state);
        assert_eq!(table.host.counts.sent, 0);
        let packet = table.member.seal(&[0]);
        table.takes(&[&packet]);
        table.host.send(&state);
        let mut buffer = [0; LONGEST];
        let (length, _) = table.socket.recv_from(&mut buffer).unwrap();
        let body = table.member.open(&buffer[..length]).unwrap();
        assert_eq!(State::from_bytes(body), Some(state));
    }

    #[test]
    fn a_silent_member_stands_still_and_a_new_key_is_a_new_channel() {
        let mut table = Table::new();
        let packet = table.member.seal(&[Heading::Left.to_byte()]);
        assert_eq!(table.takes(&[&packet]), [(3, Heading::Left)]);
        table.now += SILENCE;
        assert_eq!(table.host.receive(table.now), []);
        table.now += Duration::from_millis(1);
        assert_eq!(table.host.receive(table.now), [(3, Heading::Still)]);
        table.host.seat(&BTreeMap::from([(3, [9; 32])]));
        let old = table.member.seal(&[Heading::Left.to_byte()]);
        assert_eq!(table.takes(&[&old]), []);
        assert_eq!(table.host.counts.forged, 1);
        table.member = Channel::new(Side::Member, 3, &[9; 32]);
        let packet = table.member.seal(&[Heading::Down.to_byte()]);
        assert_eq!(table.takes(&[&packet]), [(3, Heading::Down)]);
        table.host.seat(&BTreeMap::new());
        let packet = table.member.seal(&[Heading::Down.to_byte()]);
        assert_eq!(table.takes(&[&packet]), []);
        assert_eq!(table.host.counts.unknown, 1);
    }

    #[test]
    fn a_host_of_the_whole_lan_answers_over_ipv4_and_ipv6() {
        let mut host = HostNet::open(false).unwrap();
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let Ok(socket) = UdpSocket::bind((ip, 0)) else { continue };
            host.seat(&BTreeMap::new());
            host.seat(&BTreeMap::from([(3, KEY)]));
            let mut member = ends().1;
            socket.send_to(&member.seal(&[0]), (ip, host.port())).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
            let mut buffer = [0; LONGEST];
            let answer = (0..1_000).find_map(|_| {
                host.receive(Instant::now());
                host.send(&State::default());
                socket.recv_from(&mut buffer).ok()
            });
            let (length, from) = answer.unwrap_or_else(|| panic!("no answer over {ip}"));
            assert_eq!(from, (ip, host.port()).into());
            assert!(member.open(&buffer[..length]).is_ok());
        }
    }

    #[test]
    fn the_hosts_port_is_one_for_both_families() {
        let host = HostNet::open(true).unwrap();
        assert_ne!(host.port(), 0);
        for socket in &host.sockets.0 {
            let own = socket.local_addr().unwrap();
            assert!(own.ip().is_loopback() && own.port() == host.port(), "{own}");
        }
    }
}
