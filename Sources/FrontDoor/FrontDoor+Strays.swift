internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import Session

/// Copies of volumes that moves have left, or were not ended with.
extension FrontDoor {
    private static let strayRest = Duration.seconds(20)

    /// Removes strays as their nodes can be asked, until cancelled. An engine keeps those that a container uses.
    func sweepStrays() async {
        await adoptStrays()
        recoverHalts()
        while !Task.isCancelled {
            for stray in (try? routes.journal.strays()) ?? [] where mayGo(stray) {
                do { try await removeStray(stray) } catch {
                    logger.debug("a stray stays", metadata: ["volume": "\(stray.volume)", "reason": "\(error)"])
                }
            }
            do { try await Task.sleep(for: Self.strayRest) } catch { return }
        }
    }

    /// A daemon that ended in the middle of a move may have recorded where the container is, and not where its volumes are.
    func adoptStrays() async {
        for stray in (try? routes.journal.strays()) ?? []
        where !isHome(stray) && !stray.volume.hasPrefix(Luggage.prefix) {
            let former: NodeID
            var shown: JSON = ["Name": .string(stray.volume), "Driver": "local"]
            if case .away(let node, let known)? = volumes[stray.volume] {
                (former, shown) = (node, known)
            } else {
                former = control.node
            }
            guard await isUsed(stray) else { continue }
            do {
                if stray.node == control.node {
                    try volumes.put(nil, for: stray.volume)
                } else {
                    shown["Status"] = ["lighter.node": .string(stray.node.name)]
                    try volumes.put(.away(stray.node, shown), for: stray.volume)
                }
                try routes.journal.put(.init(volume: stray.volume, node: former))
            } catch {
                logger.error("a volume's place was not kept", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Whether a container that is where the stray is has it.
    private func isUsed(_ stray: Journal.Stray) async -> Bool {
        guard stray.node == control.node else {
            return routes.routes(to: stray.node).contains { $0.volumes.contains(stray.volume) }
        }
        guard !routes.all.contains(where: { $0.volumes.contains(stray.volume) }) else { return false }
        return (try? await usersHere(of: stray.volume).isEmpty) == false
    }

    /// Not what travels; nor anything while it is open whether something was given away: it may be the last of it.
    private func mayGo(_ stray: Journal.Stray) -> Bool {
        guard let halts = try? routes.journal.halts(), !halts.contains(where: \.isGiven),
            (try? routes.journal.strays())?.contains(stray) ?? false
        else { return false }
        return !carrying.values.contains { $0.names.contains(stray.volume) || $0.waitingRoom == stray.volume }
    }

    private func isHome(_ stray: Journal.Stray) -> Bool {
        guard !stray.volume.hasPrefix(Luggage.prefix) else { return false }
        return switch volumes[stray.volume] {
        case .away(let node, _)?: node == stray.node
        case .unused?, nil: stray.node == control.node
        }
    }

    func removeStray(_ stray: Journal.Stray) async throws {
        guard !isHome(stray) else { return try routes.journal.remove(stray) }
        let isHere = stray.node == control.node
        if isHere { eventLog.beginMove(of: stray.volume, now: now()) }
        defer { if isHere { eventLog.endMove(of: stray.volume, now: now()) } }
        let client = try client(at: stray.node, purpose: "volume")
        let answer = try await client.request("DELETE", Self.volumePath(stray.volume), timeout: .seconds(20))
        guard [204, 404].contains(answer.status) else {
            throw DockerFailure(status: answer.status, message: presentation.message(Self.message(of: answer)))
        }
        try routes.journal.remove(stray)
    }
}
