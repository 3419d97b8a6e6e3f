internal import DockerAPI
internal import Engine
internal import NIOCore

/// Sessions of BuildKit's clients that wait for their build, which says where it goes: only then may an engine have them.
@NodeLoop
final class HeldSessions {
    private static let patience = TimeAmount.seconds(20)
    private static let claimPatience = TimeAmount.seconds(5)

    private struct Waiting {
        var number: Int
        var verdict: CheckedContinuation<Bool, Never>
    }

    private var waiting: [String: Waiting] = [:]
    private var claims: [String: (number: Int, answers: [CheckedContinuation<KitSession?, Never>])] = [:]
    /// The front door's, each until its client ends it; several builds may have one.
    private var adopted: [String: KitSession] = [:]
    /// Sessions whose build stays here.
    private var staying = Recent<Bool>()
    private var number = 0

    nonisolated init() {}

    /// Returns when it is known whether the session's build may leave: true for the front door, false for the engine here.
    func arrive(_ id: String) async -> Bool {
        if claims[id] != nil { return true }
        guard staying[id] == nil, waiting[id] == nil else { return false }
        number += 1
        let mine = number
        return await withCheckedContinuation { verdict in
            waiting[id] = Waiting(number: mine, verdict: verdict)
            // A client may have opened it for something else than a build.
            NodeLoop.shared.loop.scheduleTask(in: Self.patience) { [weak self] in
                NodeLoop.assumeIsolated { if self?.waiting[id]?.number == mine { self?.release(id) } }
            }
        }
    }

    /// The session is the engine's here; one that is the front door's joins it.
    func release(_ id: String, to engine: any DockerDialer) async throws {
        if let session = adopted[id] { return try await session.stay(engine) }
        release(id)
    }

    private func release(_ id: String) {
        staying[id] = true
        waiting.removeValue(forKey: id)?.verdict.resume(returning: false)
    }

    /// Takes a session for the front door; nil where none comes, or the engine here has it already.
    func claim(_ id: String) async -> KitSession? {
        if let session = adopted[id] { return session }
        guard staying[id] == nil else { return nil }
        number += 1
        let mine = number
        return await withCheckedContinuation { answer in
            claims[id, default: (mine, [])].answers.append(answer)
            waiting.removeValue(forKey: id)?.verdict.resume(returning: true)
            NodeLoop.shared.loop.scheduleTask(in: Self.claimPatience) { [weak self] in
                NodeLoop.assumeIsolated { self?.giveUp(id, mine) }
            }
        }
    }

    private func giveUp(_ id: String, _ mine: Int) {
        guard claims[id]?.number == mine else { return }
        release(id)
        settle(id, nil)
    }

    private func settle(_ id: String, _ session: KitSession?) {
        for answer in claims.removeValue(forKey: id)?.answers ?? [] { answer.resume(returning: session) }
    }

    /// The client's connection is the front door's now.
    func adopt(_ id: String, _ session: KitSession) {
        staying[id] = true
        guard claims[id] != nil else { return session.close() }
        adopted[id] = session
        session.ended = { [weak self] in self?.adopted[id] = nil }
        settle(id, session)
    }
}
