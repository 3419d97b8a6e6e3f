internal import Synchronization

/// What a courier has to send, in order.
final class ShipmentQueue: Sendable {
    private struct State {
        var shipments: [Shipment] = []
        var isClosed = false
        var consumer: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.shipments.count } }

    func append(_ shipment: Shipment) {
        let consumer = state.withLock { state in
            state.shipments.append(shipment)
            return state.consumer.take()
        }
        consumer?.resume()
    }

    /// Everything that waits, at least one; none after the end. Called by one task.
    func next() async -> [Shipment] {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.isClosed || !state.shipments.isEmpty { return true }
                state.consumer = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
        return state.withLock { state in
            defer { state.shipments = [] }
            return state.shipments
        }
    }

    func close() {
        let consumer = state.withLock { state in
            state.isClosed = true
            state.shipments = []
            return state.consumer.take()
        }
        consumer?.resume()
    }
}
