import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import Link

/// The peer program, built from `Tests/Interop/yamux`; without it these tests do not run.
private let peerProgram = ProcessInfo.processInfo.environment["LIGHTER_YAMUX_PEER"]

/// Against the reference implementation of yamux, over plain TCP.
@Suite("Interop", .enabled(if: peerProgram != nil, "LIGHTER_YAMUX_PEER names no program"), .timeLimit(.minutes(2)))
struct InteropTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func start(_ arguments: [String]) throws -> (process: Process, output: FileHandle) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(peerProgram))
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        return (process, pipe.fileHandleForReading)
    }

    @Test("Our client against the reference's server: echo, bulk both ways, half-close, many streams")
    func client() async throws {
        let (process, output) = try start(["listen"])
        defer { process.terminate() }
        let line = String(decoding: output.availableData, as: UTF8.self)
        let port = try #require(Int(line.trimmingCharacters(in: .whitespacesAndNewlines)))
        let channel = try await ClientBootstrap(group: loop).connect(host: "127.0.0.1", port: port).get()
        let link = try await Link.attachPlain(
            to: channel, role: .client, logger: quiet, accept: StreamService.acceptor
        ).get()

        #expect(try await link.echo("hello") == "hello")
        let size = 16 << 20
        let down = try await link.exchange([ByteBuffer(string: "b"), ByteBuffer(integer: UInt64(size))])
        var pattern = Pattern()
        #expect(down == pattern.next(size))

        var sum = Checksum()
        sum.add(down)
        var blocks = [ByteBuffer(string: "s")]
        var rest = down
        while let block = rest.readSlice(length: 1 << 20) { blocks.append(block) }
        let answer = try await link.exchange(blocks)
        #expect(answer.getInteger(at: 0, as: UInt32.self) == sum.value)

        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<500 {
                let text = String(repeating: "stream \(number) ", count: number)
                group.addTask { try await link.echo(text) == text }
            }
            for try await same in group { #expect(same) }
        }
        #expect(link.rtt != nil)
        link.close(nil)
        try await link.closed.get()
    }

    @Test("The reference's client against our server")
    func server() async throws {
        let listener = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                Link.attachPlain(to: channel, role: .server, logger: quiet, accept: StreamService.acceptor).map { _ in }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let (process, output) = try start(["dial", "127.0.0.1:\(port)"])
        let said = String(decoding: try output.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(said == "ok\n")
        #expect(process.terminationStatus == 0)
        try await listener.close()
    }
}
