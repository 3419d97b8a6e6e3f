import NIOCore
import Testing

@testable import Link

private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

private func makeSession(_ role: LinkRole, backlog: Int = 256, skipped: Int = 4096) -> Session {
    Session(
        role: role,
        limits: Session.Limits(
            initialWindow: 256 << 10, maximumWindow: 4 << 20, memory: 16 << 20, streams: 1000, backlog: backlog,
            slice: 16 << 10, skipped: skipped))
}

/// A session whose peer has opened stream 1, and which has accepted it.
private func makeAccepting() throws -> Session {
    var session = makeSession(.server)
    _ = try session.receive(.windowUpdate(1, .syn, delta: 0), now: start)
    session.accept(1)
    #expect(session.next() == .windowUpdate(1, .ack, delta: 0))
    return session
}

@Suite("The session's decisions")
struct SessionTests {
    @Test("The client opens odd streams, the server even ones")
    func numbers() throws {
        var client = makeSession(.client)
        var server = makeSession(.server)
        #expect(try [client.open(), client.open()] == [1, 3])
        #expect(try [server.open(), server.open()] == [2, 4])
    }

    @Test("The first frame carries SYN, or ACK for the peer's stream")
    func flags() throws {
        var session = makeSession(.client)
        let id = try session.open()
        session.queue(id, bytes: 10)
        #expect(session.next() == .data(1, .syn, length: 10))
        session.queue(id, bytes: 5)
        #expect(session.next() == .data(1, length: 5))
        #expect(session.next() == nil)

        var other = makeSession(.server)
        _ = try other.receive(.data(1, .syn, length: 0), now: start)
        #expect(other.next() == nil)
        other.accept(1)
        other.queue(1, bytes: 3)
        #expect(other.next() == .data(1, .ack, length: 3))
    }

    @Test("No more is sent than the peer's window, and the rest when it grows")
    func window() throws {
        var session = makeSession(.client)
        let id = try session.open()
        session.queue(id, bytes: 300 << 10)
        session.finish(id)
        var sent = 0
        while let frame = session.next() { sent += frame.kind == .data ? Int(frame.length) : 0 }
        #expect(sent == 256 << 10)
        _ = try session.receive(.windowUpdate(1, .ack, delta: 100 << 10), now: start)
        var last: FrameHeader?
        while let frame = session.next() {
            sent += frame.kind == .data ? Int(frame.length) : 0
            last = frame
        }
        #expect(sent == 300 << 10)
        #expect(last == .windowUpdate(1, .fin, delta: 0))
    }

    @Test("The window is given back when half of it has been read, not when it has arrived")
    func givesBack() throws {
        var session = try makeAccepting()
        _ = try session.receive(.data(1, length: 200 << 10), now: start)
        #expect(session.next() == nil)
        session.read(1, bytes: 100 << 10, now: start)
        #expect(session.next() == nil)
        session.read(1, bytes: 28 << 10, now: start)
        #expect(session.next() == .windowUpdate(1, delta: 128 << 10))
    }

    @Test("The window doubles up to its bound when it is read within two round trips, and not when that takes longer")
    func growth() throws {
        for (gap, expected) in [(TimeAmount.milliseconds(50), 4 << 20), (.milliseconds(300), 256 << 10)] {
            var session = try makeAccepting()
            var now = start
            session.ping(now: now)
            _ = session.next()
            now = now + .milliseconds(100)
            #expect(try session.receive(.ping(0, .ack), now: now) == .roundTrip(.milliseconds(100)))
            for _ in 0..<200 {
                guard let window = session.streams[1]?.receiveWindow else { break }
                _ = try session.receive(.data(1, length: UInt32(window / 2)), now: now)
                now = now + gap
                session.read(1, bytes: window / 2, now: now)
                while session.next() != nil {}
            }
            #expect(session.streams[1]?.window == expected)
        }
    }

    @Test("A stream waits with its opening until the peer has accepted earlier ones")
    func backlog() throws {
        var session = makeSession(.client, backlog: 2)
        let ids = try (0..<4).map { _ in try session.open() }
        #expect(session.next()?.stream == ids[0])
        #expect(session.next()?.stream == ids[1])
        #expect(session.next() == nil)
        session.reset(ids[2])
        _ = try session.receive(.windowUpdate(ids[0], .ack, delta: 0), now: start)
        #expect(session.next() == .windowUpdate(ids[3], .syn, delta: 0))
        #expect(session.next() == nil)
    }

    @Test("Streams beyond the backlog or after go-away are reset")
    func refusal() throws {
        var session = makeSession(.server, backlog: 1)
        #expect(try session.receive(.windowUpdate(1, .syn, delta: 0), now: start) != .none)
        #expect(try session.receive(.windowUpdate(3, .syn, delta: 0), now: start) == .none)
        #expect(session.next() == .windowUpdate(3, .rst, delta: 0))
        session.goAway(.normal)
        session.accept(1)
        _ = try session.receive(.windowUpdate(5, .syn, delta: 0), now: start)
        #expect(session.next() == .goAway(.normal))
        #expect(session.next() == .windowUpdate(5, .rst, delta: 0))
        #expect(throws: LinkError.self) { try session.open() }
    }

    @Test("Late frames for closed, reset and refused streams are ignored")
    func late() throws {
        var session = try makeAccepting()
        session.reset(1)
        for frame in [FrameHeader.data(1, length: 9000), .windowUpdate(1, delta: 5), .data(1, .fin, length: 0)] {
            #expect(try session.receive(frame, now: start) == .none)
        }
        let own = try session.open()
        #expect(session.next() == .windowUpdate(1, .rst, delta: 0))
        #expect(session.next() == .windowUpdate(own, .syn, delta: 0))
        session.reset(own)
        #expect(try session.receive(.windowUpdate(own, .ack, delta: 1), now: start) == .none)
    }

    @Test("Openings may overtake each other, but a number is used once")
    func overtaking() throws {
        var session = makeSession(.server)
        _ = try session.receive(.windowUpdate(5, .syn, delta: 0), now: start)
        _ = try session.receive(.windowUpdate(1, .syn, delta: 0), now: start)
        _ = try session.receive(.windowUpdate(3, .syn, delta: 0), now: start)
        #expect(session.streams.count == 3)
        session.reset(3)
        #expect(throws: Session.Violation.self) { try session.receive(.windowUpdate(3, .syn, delta: 0), now: start) }
    }

    @Test("Pings are answered with their value, and unknown answers mean nothing")
    func pings() throws {
        var session = makeSession(.server)
        _ = try session.receive(.ping(77, .syn), now: start)
        #expect(session.next() == .ping(77, .ack))
        #expect(try session.receive(.ping(5, .ack), now: start) == .none)
    }

    @Test("An abandoned stream with progress is given more time, one without is reset")
    func draining() throws {
        var session = makeSession(.client)
        let id = try session.open()
        session.queue(id, bytes: 300 << 10)
        session.abandon(id, unread: 0, deadline: start + .seconds(30))
        while session.next() != nil {}
        let first = session.expire(now: start + .seconds(30), drain: .seconds(30))
        #expect(first.gone.isEmpty)
        #expect(first.next == start + .seconds(60))
        #expect(session.expire(now: start + .seconds(60), drain: .seconds(30)).gone == [id])
        #expect(session.next() == .windowUpdate(id, .rst, delta: 0))
    }

    @Test("The round-trip time is smoothed by eighths")
    func smoothing() {
        var time = RoundTrip()
        time.add(.milliseconds(80))
        #expect(time.smoothed == .milliseconds(80))
        time.add(.milliseconds(160))
        #expect(time.smoothed == .milliseconds(90))
    }

    @Test("The best rate is remembered and fades")
    func throughput() {
        var meter = ThroughputMeter()
        meter.add(received: 0, now: start)
        meter.add(received: 10_000_000, now: start + .milliseconds(100))
        #expect(meter.best == 100_000_000)
        meter.add(sent: 10, now: start + .seconds(30))
        #expect((70_000_000...80_000_000).contains(meter.best))
    }
}
