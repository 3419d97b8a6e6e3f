import Engine
import Fleet
import Leases
import LighterTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import FrontDoor

@Suite("Containers whose engine knows them by another id")
struct AliasTests {
    static let shown = String(repeating: "ab", count: 32)
    static let engine = String(repeating: "c0", count: 32)
    static let table = AliasTable([.init(engineID: engine, shownID: shown)])

    static func channel(_ source: AliasSource = .fixed(table)) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        try AliasHandler.add(source, to: channel).wait()
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/x")).wait()
        return channel
    }

    /// What comes out of a channel when bytes of the engine go in, in pieces of `size`.
    static func received(_ text: String, by channel: EmbeddedChannel, size: Int) throws -> String {
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            try channel.writeInbound(ByteBuffer(bytes: bytes[start..<min(start + size, bytes.count)]))
        }
        var out = ""
        while let piece = try channel.readInbound(as: ByteBuffer.self) { out += String(buffer: piece) }
        return out
    }

    @Test(
        "Documents of the engine are of the id that users know, however they are cut", arguments: [1, 7, 63, 64, 1000])
    func documents(size: Int) throws {
        let channel = try Self.channel()
        let answer =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"Id\":\"\(Self.engine)\",\"x\":\"\(Self.engine)\"}\n"
        #expect(
            try Self.received(answer, by: channel, size: size)
                == answer.replacing(Self.engine, with: Self.shown))
    }

    @Test("Archives and logs pass as they are", arguments: ["application/x-tar", "application/vnd.docker.raw-stream"])
    func archives(type: String) throws {
        let channel = try Self.channel()
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: \(type)\r\n\r\n\(Self.engine)"
        #expect(try Self.received(answer, by: channel, size: 10) == answer)
    }

    @Test("Questions reach the engine with its own id, in path and body")
    func questions() throws {
        let channel = try Self.channel()
        let question =
            "POST /containers/\(Self.shown)/start HTTP/1.1\r\nContent-Type: application/json\r\n\r\n[\"\(Self.shown)\"]"
        try channel.writeOutbound(ByteBuffer(string: question))
        let sent = try #require(try channel.readOutbound(as: ByteBuffer.self))
        #expect(String(buffer: sent) == question.replacing(Self.shown, with: Self.engine))
    }

    @Test("The beginning of an id at a stream's end is not lost")
    func end() throws {
        let channel = try Self.channel()
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n\(Self.engine.prefix(20))"
        var out = try Self.received(answer, by: channel, size: 1000)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        while let piece = try channel.readInbound(as: ByteBuffer.self) { out += String(buffer: piece) }
        #expect(out == answer)
    }

    @Test("Ids of different lengths stand for nothing")
    func lengths() {
        #expect(AliasTable([.init(engineID: "abc", shownID: Self.shown)]).isEmpty)
    }

    @Test("The book is there again after a restart, and what is removed is not")
    @NodeLoop
    func book() throws {
        let folder = try ScratchFolder()
        let path = folder.file("journal")
        let (here, there) = (try NodeID("edge1"), try NodeID("cloud1"))
        do {
            let book = try AliasBook(journal: try Journal(path: path))
            try book.put(Self.shown, engineID: Self.engine, at: there)
            try book.put(Self.shown, engineID: Self.engine, at: here)
            try book.remove(Self.shown, at: here)
        }
        let book = try AliasBook(journal: try Journal(path: path))
        #expect(book.table(at: there) == Self.table)
        #expect(book.table(at: here) == nil)
        #expect(book.engineID(of: Self.shown, at: there) == Self.engine)
    }
}

@Suite("What a device grants nodes")
struct NodeGrantsTests {
    @Test("Each question is answered with its time and the term, and counted")
    @NodeLoop
    func answered() throws {
        let grants = NodeGrants(term: .zero)
        let channel = EmbeddedChannel(handler: LeaseHandler { grants.heard(.seconds(5)) })
        try channel.writeInbound(ByteBuffer(integer: UInt32(0)))
        #expect(try channel.readOutbound(as: ByteBuffer.self) == nil, "half a question has no answer")
        try channel.writeInbound(ByteBuffer(integer: UInt32(7)))
        var answer = try #require(try channel.readOutbound(as: ByteBuffer.self))
        #expect(answer.readInteger(as: UInt64.self) == 7)
        #expect(answer.readInteger(as: UInt64.self) == 5_000_000_000)
        #expect(grants.wasHeard(within: .seconds(60)))
        #expect(grants.lease.remaining(at: NodeGrants.now, margin: 0) > 4_000_000_000)
    }

    @Test("A node that was given up is granted nothing until it is taken back, but it is heard")
    @NodeLoop
    func givenUp() throws {
        let grants = NodeGrants(term: .zero)
        grants.giveUp()
        #expect(grants.heard(.seconds(5)) == nil)
        #expect(grants.lease.remaining(at: NodeGrants.now, margin: 0) == 0)
        #expect(grants.wasHeard(within: .seconds(60)))
        grants.takeBack()
        #expect(grants.heard(.seconds(5)) == 5_000_000_000)
    }
}
