import Fleet
import NIOCore
import Synchronization

extension FleetRegistry {
    /// What one pass sends of states at most; who is not reached is told later, and more at once.
    private static let passBytes = 8 << 20
    /// Sessions that are dealt with under one lock: nothing else waits for longer than these take.
    private static let slice = 128

    /// Tells sessions what they have not been told: states to all, loads to whom they are due.
    ///
    /// - Returns: whether some that could take more were not told all states.
    func push(rankingEvery interval: TimeAmount) -> Bool {
        let (sessions, pace) = state.withLock { state in
            (Array(state.sessions.values), PushPace(sessions: state.sessions.count))
        }
        let now = NIODeadline.now()
        rank(pace, every: interval, now: now)
        let first = nextPass.load(ordering: .relaxed) % max(1, sessions.count)
        var left = Self.passBytes
        var hasMore = false
        for begin in stride(from: 0, to: sessions.count, by: Self.slice) {
            state.withLock { state in
                for offset in begin..<min(begin + Self.slice, sessions.count) {
                    let session = sessions[(first + offset) % sessions.count]
                    guard left > 0 else {
                        hasMore = true
                        return nextPass.store(first + offset, ordering: .relaxed)
                    }
                    if let part = session.pushStates(of: &state.view, &state.parts) {
                        left -= part.frame.readableBytes
                        hasMore = hasMore || part.more
                    } else {
                        session.pushLoads(of: &state.view, pace, state.rankings[session.tenant], now: now)
                    }
                }
            }
            if left <= 0 { return true }
        }
        return hasMore
    }

    /// Tells one session the first of what it does not know.
    func push(to session: AgentSession) {
        state.withLock { _ = session.pushStates(of: &$0.view, &$0.parts) }
    }

    /// Tenants with more nodes than one push tells get a ranking.
    private func rank(_ pace: PushPace, every interval: TimeAmount, now: NIODeadline) {
        state.withLock { state in
            if let last = state.rankedAt, now - last < interval { return }
            state.rankedAt = now
            state.rankings = [:]
            for (tenant, log) in state.view.logs where log.count > pace.most {
                state.rankings[tenant] = LoadRanking(tenant, of: state.view)
            }
        }
    }
}
