import Fleet
import NIOCore
import Synchronization

extension FleetRegistry {
    /// What one pass sends of states at most; who is not reached is told later, and more at once.
    private static let passBytes = 8 << 20
    /// And pushes of states: each costs a record of TLS and a system call, however short. In a large fleet in which much changes
    /// each session is told seldom, and then of all that has changed.
    private static let passParts = 500
    /// While a fleet arrives, its nodes have more need of the processors than those who are told of them.
    private static let passPartsInCrowd = 100
    /// And when heartbeats come to wait for their answers: what is told later costs nothing then, what is answered late does.
    private static let passPartsWhenLate = 20
    /// The lag of event loops from which on they are late.
    private static let late = TimeAmount.milliseconds(150)
    /// Recent arrivals that make a crowd: of the passes before the last, each counts a tenth less than the one after it.
    private static let crowd = 5.0
    /// Sessions that are dealt with under one lock: nothing else waits for longer than these take.
    private static let slice = 128

    /// Tells sessions what they have not been told: states to all, loads to whom they are due.
    ///
    /// - Parameter lag: by how much event loops are behind.
    /// - Returns: whether some were not reached. Who was told a part, and can take the next, is announced.
    func push(rankingEvery interval: TimeAmount, lag: TimeAmount = .zero) -> Bool {
        let (sessions, pace, isCrowded) = state.withLock { state in
            state.crowd = state.crowd * 0.9 + Double(state.arrivals)
            state.arrivals = 0
            return (Array(state.sessions.values), PushPace(sessions: state.sessions.count), state.crowd >= Self.crowd)
        }
        let now = NIODeadline.now()
        rank(pace, every: interval, now: now)
        let first = nextPass.load(ordering: .relaxed) % max(1, sessions.count)
        var left = Self.passBytes
        var parts = lag > Self.late ? Self.passPartsWhenLate : isCrowded ? Self.passPartsInCrowd : Self.passParts
        var reached = 0
        for begin in stride(from: 0, to: sessions.count, by: Self.slice) {
            state.withLock { state in
                while reached < min(begin + Self.slice, sessions.count), left > 0, parts > 0 {
                    let session = sessions[(first + reached) % sessions.count]
                    reached += 1
                    if let part = pushStates(to: session, &state) {
                        left -= part.frame.readableBytes
                        parts -= 1
                    } else if lag <= Self.late {
                        session.pushLoads(of: &state.view, pace, state.rankings[session.tenant], now: now)
                    }
                }
            }
            guard left > 0, parts > 0 else {
                nextPass.store(first + reached, ordering: .relaxed)
                return true
            }
        }
        return false
    }

    /// Tells one session the first of what it does not know.
    func push(to session: AgentSession) {
        state.withLock { _ = pushStates(to: session, &$0) }
    }

    private func pushStates(to session: AgentSession, _ state: inout State) -> SessionFeed.Part? {
        session.pushStates(of: &state.view, &state.parts) { self.announce() }
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
