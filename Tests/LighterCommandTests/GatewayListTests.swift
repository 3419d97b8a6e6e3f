import Session
import Synchronization
import Testing

@testable import lighter

@Suite("Several gateways")
struct GatewayListTests {
    @Test(
        "Addresses stand with commas between them",
        arguments: ["g1:7700", "g1:7700,g2:7700", " g1:7700, [::1]:7700 "])
    func reading(text: String) { #expect(GatewayList(text) != nil) }

    @Test("Anything else is none", arguments: ["", ",", "g1", "g1:7700,", "g1:7700,,g2:7700", "g1:7700;g2:7700"])
    func refusing(text: String) { #expect(GatewayList(text) == nil) }

    private static let away = SessionError(.unavailable, "this gateway is not the leader")

    @Test("The one that serves answers, wherever it stands")
    func next() async throws {
        let list = try #require(GatewayList("g1:1,g2:2"))
        let answer = try await list.ask { address in
            if address == "g1:1" { throw Self.away }
            return address
        }
        #expect(answer == "g2:2")
    }

    @Test("One that begins to lead meanwhile answers in a later round")
    func later() async throws {
        let list = try #require(GatewayList("g1:1,g2:2"))
        let asked = Mutex<[String]>([])
        let answer = try await list.ask(pause: .zero) { address in
            let count = asked.withLock { asked in
                asked.append(address)
                return asked.count
            }
            guard count == 3 else { throw Self.away }
            return address
        }
        #expect(answer == "g1:1" && asked.withLock { $0 } == ["g1:1", "g2:2", "g1:1"])
    }

    @Test("If none serves, the error has what each said; a single one's own error is passed on at once")
    func none() async throws {
        let list = try #require(GatewayList("g1:1,g2:2"))
        await #expect { try await list.ask(rounds: 2, pause: .zero) { _ in throw Self.away } } throws: {
            let text = "\($0)"
            return text.contains("g1:1: ") && text.contains("g2:2: ") && text.contains("not the leader")
        }
        let single = try #require(GatewayList("g1:1"))
        await #expect(throws: SessionError.self) { try await single.ask { _ in throw Self.away } }
    }

    @Test("What a gateway refuses is not asked of the next")
    func refusal() async throws {
        let list = try #require(GatewayList("g1:1,g2:2"))
        let asked = Mutex(0)
        await #expect(throws: SessionError.self) {
            try await list.ask { _ in
                asked.withLock { $0 += 1 }
                throw SessionError(.notFound, "no such workload")
            }
        }
        #expect(asked.withLock { $0 } == 1)
    }
}
