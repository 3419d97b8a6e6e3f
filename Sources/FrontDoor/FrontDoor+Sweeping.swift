internal import DockerAPI
internal import Engine
internal import Fleet
internal import Logging
internal import NIOCore
internal import Session

/// Creates elsewhere whose answers were lost: what they made is removed.
extension FrontDoor {
    /// A create whose answer was lost may have happened: removes what it made once its node can be asked.
    func sweep(_ lease: PendingLease) {
        sweep(lease.workload, epoch: lease.epoch, at: lease.target, ticket: { lease.ticket })
    }

    /// Removes what a create made whose link ended, as after a cut that the other end saw and this one did not.
    /// - Returns: whether the node is in reach, over a new link, and has nothing of it.
    func clearUp(_ lease: PendingLease) async -> Bool {
        let client = DockerClient(dialer: dialer(to: lease, purpose: "remove"), maximumIdle: 0)
        return (try? await remove(lease.workload, lease.epoch, client)) != nil
    }

    /// Removes what creates made whose answers an earlier run of this daemon did not live to hear.
    /// - Parameter forgotten: as the journal had them before this run made any of its own.
    func sweep(_ forgotten: [(workload: WorkloadID, target: NodeID)]) async {
        guard !forgotten.isEmpty else { return }
        // The gateway gives the tickets.
        while !control.isConnected {
            do { try await Task.sleep(for: .milliseconds(200)) } catch { return }
        }
        for (workload, target) in forgotten {
            sweep(workload, epoch: nil, at: target) { [control] in try await control.ticket(for: workload) }
        }
    }

    private func sweep(
        _ workload: WorkloadID, epoch: UInt64?, at target: NodeID,
        ticket: @escaping @Sendable () async throws -> [UInt8]
    ) {
        start { [self] in
            var isSeen = false
            for pause in [0, 1, 4, 16, 64] {
                isSeen = false
                do { try await Task.sleep(for: .seconds(pause) * Double.random(in: 0.75...1.25)) } catch { return }
                do {
                    let ticket = NodeDialer.Ticketing(ticket: try await ticket(), renew: nil)
                    let dialer = NodeDialer(control: control, node: target, purpose: "remove", ticket: ticket)
                    // What is not there yet may still be in the making: a busy engine takes its time.
                    guard try await remove(workload, epoch, DockerClient(dialer: dialer, maximumIdle: 0)) > 0 else {
                        isSeen = true
                        continue
                    }
                    return forgetCreating(workload, at: target)
                } catch let error as SessionError where error.code == .notFound {
                    // The gateway never placed it: nothing can have been made.
                    return forgetCreating(workload, at: target)
                } catch {
                    logger.debug("not swept yet", metadata: ["node": "\(target)", "error": "\(error)"])
                }
            }
            if isSeen { return forgetCreating(workload, at: target) }
            logger.warning(
                "a node may have kept a container that nobody knows",
                metadata: ["node": "\(target)", "workload": "\(workload)"])
        }
    }

    /// Written down before a create leaves: should this daemon end before its answer comes, the next one clears up.
    func noteCreating(_ workload: WorkloadID, at node: NodeID) {
        do { try routes.journal.putCreating(workload, at: node) } catch {
            logger.error("the journal did not take a create", metadata: ["error": "\(error)"])
        }
    }

    func forgetCreating(_ lease: PendingLease) { forgetCreating(lease.workload, at: lease.target) }

    /// Unless the workload is being created elsewhere by now.
    private func forgetCreating(_ workload: WorkloadID, at node: NodeID) {
        do { try routes.journal.removeCreating(workload, at: node) } catch {
            logger.error("the journal did not take a create's end", metadata: ["error": "\(error)"])
        }
    }

    /// Removes what a lease's own labels name.
    /// - Returns: how many containers that were.
    /// - Throws: when the node would not.
    private func remove(_ workload: WorkloadID, _ epoch: UInt64?, _ client: DockerClient) async throws -> Int {
        var filters: DockerFilters = ["label": "io.lighter.workload=\(workload.hex)"]
        if let epoch { filters.add("label", "io.lighter.epoch=\(epoch)") }
        let ids = try await client.containers(where: filters).compactMap { $0["Id"]?.stringValue }
        for id in ids where routes[id] == nil {
            let removed = try await client.request("DELETE", "/containers/\(id)?force=1&v=1")
            guard [204, 404].contains(removed.status) else {
                throw FrontDoorError(.unreachable, Self.message(of: removed))
            }
        }
        return ids.count
    }
}
