/// The listening ports of this device that lead to containers elsewhere.
struct PortBook {
    private enum Entry {
        /// Being opened. Next: open, or gone.
        case opening
        case open([PublishedPort], [PortListener])
    }

    private var entries: [String: Entry] = [:]

    /// Claims a container's ports for the caller to open; false when they are open, or somebody else opens them.
    mutating func begin(_ id: String) -> Bool {
        guard entries[id] == nil else { return false }
        entries[id] = .opening
        return true
    }

    /// Takes what `begin` was for; closes it at once where the container has ended in between.
    mutating func opened(_ id: String, _ ports: [PublishedPort], _ listeners: [PortListener]) {
        guard case .opening? = entries[id] else {
            for listener in listeners { listener.close() }
            return
        }
        entries[id] = .open(ports, listeners)
    }

    mutating func close(_ id: String) {
        guard case .open(_, let listeners)? = entries.removeValue(forKey: id) else { return }
        for listener in listeners { listener.close() }
    }

    mutating func closeAll() {
        for id in entries.keys { close(id) }
    }

    func isOpen(_ id: String) -> Bool { entries[id] != nil }

    /// Where it is listened for a container's ports now.
    func published(_ id: String) -> [PublishedPort] {
        if case .open(let ports, _)? = entries[id] { ports } else { [] }
    }

    func holds(_ number: UInt16, isUDP: Bool) -> Bool {
        entries.values.contains { entry in
            guard case .open(let ports, _) = entry else { return false }
            return ports.contains { $0.isUDP == isUDP && $0.bindings.contains { $0.port == number } }
        }
    }
}
