import Foundation
import Testing

@testable import lighter

/// Real processes: `/bin/sleep` stands in for a daemon.
@Suite("Background process")
struct BackgroundProcessTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path

    private func withProcess(_ body: (BackgroundProcess) async throws -> Void) async throws {
        try Installation.makeFolder(folder)
        let process = BackgroundProcess(name: "sleep", pidFile: folder + "/pid", log: folder + "/log")
        do {
            try await body(process)
        } catch {
            try? await process.stop()
            throw error
        }
        try await process.stop()
        try FileManager.default.removeItem(atPath: folder)
    }

    private var sleep: [String] { [Programs.inPath("sleep") ?? "/bin/sleep", "60"] }

    @Test("It runs until it is stopped, and stopping it again does nothing")
    func life() async throws {
        try await withProcess { process in
            #expect(process.pid == nil)
            let started = try await process.ensure(sleep)
            #expect(started)
            let pid = try #require(process.pid)
            #expect(kill(pid, 0) == 0)
            try await process.stop()
            #expect(process.pid == nil)
            try await process.stop()
        }
    }

    @Test("The same command is left alone, another one replaces it")
    func replaced() async throws {
        try await withProcess { process in
            let command = [URL(fileURLWithPath: sleep[0]).resolvingSymlinksInPath().path, "60"]
            _ = try await process.ensure(command)
            let first = process.pid
            let startedAgain = try await process.ensure(command)
            #expect(!startedAgain)
            #expect(process.pid == first)
            let startedAnother = try await process.ensure([command[0], "61"])
            #expect(startedAnother)
            #expect(process.pid != nil)
            #expect(process.pid != first)
        }
    }

    @Test("A pid file of a process that was born at another time is not believed")
    func recycled() async throws {
        try await withProcess { process in
            try "\(getpid()) 1\n".write(toFile: process.pidFile, atomically: true, encoding: .utf8)
            #expect(process.pid == nil)
            try "no pid\n".write(toFile: process.pidFile, atomically: true, encoding: .utf8)
            #expect(process.pid == nil)
        }
    }

    @Test("What cannot be started is named")
    func missing() async throws {
        try await withProcess { process in
            await #expect(throws: CommandFailure.self) { _ = try await process.ensure([folder + "/nothing"]) }
            #expect(process.pid == nil)
        }
    }

    @Test("The last line of the log is its last words")
    func words() async throws {
        try await withProcess { process in
            #expect(process.lastWords == "nothing in its log")
            try "first\nlast  \n\n".write(toFile: process.log, atomically: true, encoding: .utf8)
            #expect(process.lastWords == "last")
        }
    }
}
