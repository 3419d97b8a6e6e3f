internal import Engine
internal import NIOCore

/// An answer that goes on at another node, where its container does.
extension ClientHandler {
    /// Ends an exchange whose engine has said its last, unless it goes on elsewhere.
    /// - Parameters:
    ///   - broke: whether the connection broke off; false when the engine ended the answer.
    ///   - finish: what ends it.
    func end(_ exchange: Exchange, broke: Bool, _ finish: @escaping (ClientHandler) -> Void) {
        guard let context, let succession = exchange.succession, !exchange.isOver,
            !NodeLoop.assumeIsolated({ succession.isOver(broke: broke) })
        else {
            return endAtLast(exchange, finish)
        }
        exchange.isBetween = true
        between = succession
        let bound = NIOLoopBound((client: self, exchange: exchange, finish: finish), eventLoop: context.eventLoop)
        NodeLoop.assumeIsolated { [planner] in
            planner.start {
                let next = await succession.next(broke: broke)
                bound.value.client.goOn(bound.value.exchange, with: next, otherwise: bound.value.finish)
            }
        }
    }

    private func goOn(_ exchange: Exchange, with next: Forward?, otherwise finish: (ClientHandler) -> Void) {
        guard case .forwarding(let current) = state, current === exchange else { return }
        exchange.isBetween = false
        between = nil
        if let next {
            exchange.backend.abandon()
            begin(Exchange(continuing: exchange, next, BackendHandler(client: self)))
        } else {
            endAtLast(exchange, finish)
        }
        advance()
        context?.flush()
    }

    private func endAtLast(_ exchange: Exchange, _ finish: (ClientHandler) -> Void) {
        exchange.isOver = true
        if let succession = exchange.forward.succession { NodeLoop.assumeIsolated { succession.leave() } }
        finish(self)
    }

    /// Nobody listens any more to what might go on.
    func leaveBetween() {
        guard let succession = between else { return }
        between = nil
        NodeLoop.assumeIsolated { succession.leave() }
    }

    // MARK: Its container is gone

    /// An engine that is asked while it removes a container may measure that for ever, and `docker stats` asks at its start.
    func endWithContainer(_ exchange: Exchange) {
        guard let succession = exchange.forward.succession, succession.kind == .stats else { return }
        struct Parties {
            weak var client: ClientHandler?
            weak var exchange: Exchange?
        }
        guard let context else { return }
        let bound = NIOLoopBound(Parties(client: self, exchange: exchange), eventLoop: context.eventLoop)
        NodeLoop.assumeIsolated {
            succession.ending = {
                let parties = bound.value
                guard let exchange = parties.exchange else { return }
                parties.client?.containerIsGone(exchange)
            }
        }
    }

    private func containerIsGone(_ exchange: Exchange) {
        guard case .forwarding(let current) = state, current === exchange, !exchange.isBetween, !exchange.isOver else {
            return
        }
        exchange.backend.abandon()
        end(exchange, broke: false) { $0.endedWithContainer(exchange) }
    }
}
