import Fleet
import Link
import NIOCore
import Synchronization
import Trust

/// The links to other nodes that stand or are being made: one each, shared by all callers.
final class PeerLinks: Sendable {
    private enum Slot {
        /// Next: up, or gone.
        case dialling(EventLoopFuture<LinkConnection>)
        /// Next: gone.
        case up(LinkConnection)
    }

    private struct State {
        var slots: [NodeID: Slot] = [:]
        /// Links that peers dialled, kept so that they can be closed.
        var incoming: [ObjectIdentifier: LinkConnection] = [:]
        var isClosed = false
    }

    private let loop: any EventLoop
    private let state = Mutex(State())

    init(loop: any EventLoop) { self.loop = loop }

    /// The link that stands, or nil.
    func existing(to node: NodeID) -> LinkConnection? {
        state.withLock { state in
            guard case .up(let link)? = state.slots[node], link.isActive else { return nil }
            return link
        }
    }

    /// The link to `node`: the one that stands, the one that is being made, or the one that `dial` makes.
    func link(
        to node: NodeID, dial: @escaping @Sendable () async throws -> LinkConnection
    ) async throws -> LinkConnection {
        let fresh = loop.makePromise(of: LinkConnection.self)
        let (future, isFirst) = state.withLock { state -> (EventLoopFuture<LinkConnection>, Bool) in
            switch state.slots[node] {
            case .up(let link) where link.isActive: return (loop.makeSucceededFuture(link), false)
            case .dialling(let future): return (future, false)
            default:
                state.slots[node] = .dialling(fresh.futureResult)
                return (fresh.futureResult, true)
            }
        }
        if isFirst {
            // A task of its own: the attempt belongs to all callers, so the first one's cancellation must not end it.
            fresh.completeWithTask { try await self.make(node, dial) }
        } else {
            fresh.fail(CancellationError())
        }
        return try await future.get()
    }

    private func make(
        _ node: NodeID, _ dial: @Sendable () async throws -> LinkConnection
    ) async throws -> LinkConnection {
        do {
            let link = try await dial()
            let isWanted = state.withLock { state in
                state.slots[node] = state.isClosed ? nil : .up(link)
                return !state.isClosed
            }
            guard isWanted else {
                link.close(nil)
                throw SessionError(.unavailable, "this node is shutting down")
            }
            link.closed.whenComplete { _ in self.forget(link, of: node) }
            return link
        } catch {
            state.withLock { $0.slots[node] = nil }
            throw error
        }
    }

    private func forget(_ link: LinkConnection, of node: NodeID) {
        state.withLock { state in
            if case .up(let current)? = state.slots[node], current === link { state.slots[node] = nil }
        }
    }

    /// Asks whether the links with a node stand, whoever dialled them: at rest they would not notice for long.
    func ask(_ node: NodeID) {
        existing(to: node)?.askIfQuiet()
        let incoming = state.withLock { $0.incoming.values.filter { $0.peer?.node == node } }
        for link in incoming { link.askIfQuiet() }
    }

    /// Keeps a link that a peer dialled until it closes.
    func keep(incoming link: LinkConnection) {
        let (isWanted, older) = state.withLock { state in
            let older = state.incoming.values.filter { $0.peer?.node == link.peer?.node }
            if !state.isClosed { state.incoming[ObjectIdentifier(link)] = link }
            return (!state.isClosed, older)
        }
        guard isWanted else { return link.close(nil) }
        // A peer that dials again may have lost them without a word.
        for link in older { link.askIfQuiet() }
        link.closed.whenComplete { _ in
            self.state.withLock { _ = $0.incoming.removeValue(forKey: ObjectIdentifier(link)) }
        }
    }

    /// Closes all links, for good.
    func close() {
        let links = state.withLock { state -> [LinkConnection] in
            state.isClosed = true
            return state.slots.values.compactMap { if case .up(let link) = $0 { link } else { nil } }
                + state.incoming.values
        }
        for link in links { link.close(nil) }
    }
}
