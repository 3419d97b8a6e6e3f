import ArgumentParser
import DockerAPI
import Testing

@testable import lighter

@Suite("lighter move")
struct MoveTests {
    @Test(
        "It says from where to where, and with its state for how long it did not run and what travelled",
        arguments: [
            (["Name": "web", "From": "a"], "web: from a to b"),
            (
                ["Name": "web", "From": "a", "Stopped": 1_044_000_000, "Bytes": ["Ahead": 2_097_152, "Last": 512]],
                "web: from a to b, stopped for 1.04 s; 2 MiB travelled before, 512 B meanwhile"
            ),
            (
                ["Name": "web", "From": "a", "Stopped": nil, "Bytes": ["Ahead": 1024, "Last": 0]],
                "web: from a to b, with 1 KiB"
            ),
            (
                ["Name": "web", "From": "a", "Answered": false, "Stopped": nil, "Bytes": ["Ahead": 1024, "Last": 0]],
                "web: from a to b, with 1 KiB; b cannot be heard now: it is started there as soon as that is possible"
            ),
        ] as [(JSON, String)])
    func line(answer: JSON, said: String) {
        #expect(Move.line(answer, "w", "b") == said)
    }

    @Test("The state goes along only if that is asked for")
    func flag() throws {
        #expect(try Move.parse(["web", "--to", "b"]).withState == false)
        #expect(try Move.parse(["web", "--to", "b", "--with-state"]).withState)
        #expect(throws: (any Error).self) { try Move.parse(["web"]) }
    }
}
