internal import DockerAPI
internal import Engine
internal import Fleet
internal import Link
internal import Logging
internal import NIOCore
internal import Session

/// What containers elsewhere wrote last into their bind mounts: on the device before anybody hears of the end.
extension FrontDoor {
    /// How long a stop or a removal that its node has done already is held by outputs that cannot be fetched.
    private static let stopPatience = TimeAmount.seconds(30)

    /// Stops or removes a container; what it wrote last is on the device, and its volumes are forgotten, when that is answered.
    func endMounted(_ head: RequestHead, _ route: Route, _ action: String, _ query: Query) async -> Job.Outcome {
        let path = "/containers/\(route.containerID)\(action.isEmpty ? "" : "/")\(action)"
        let hasRun = hasRun(route)
        let (status, outcome) = await passing(head, route, query.target(path))
        if status == 204, hasRun { await containerEnded(route, exitCode: nil, patience: Self.stopPatience) }
        answered(status, to: head.method, action, on: route)
        if status == 204, action.isEmpty, query.flag("v") { forgetVolumes(goneWith: route) }
        return outcome
    }

    /// Whether it may have written something; its engine may be about to tell of its first start.
    func hasRun(_ route: Route) -> Bool {
        lastStates[route.containerID] != "created" || mounts?.isUsed(by: route.containerID) ?? false
    }

    /// What has to be so before anybody hears that a container has ended; done once, whoever asks first.
    ///
    /// Returns early when the caller is cancelled; the outputs still come.
    /// - Parameter patience: how long the caller waits at most.
    func containerEnded(_ route: Route, exitCode: Int64?, patience: TimeAmount? = nil) async {
        ports.close(route.containerID)
        if let exitCode { exitCodes[route.containerID] = exitCode }
        guard !route.mounts.isEmpty else { return }
        let waited = NodeLoop.shared.loop.makePromise(of: Void.self)
        (ended[route.containerID] ?? beginHomecoming(of: route)).cascade(to: waited)
        let timer = patience.map { NodeLoop.shared.loop.scheduleTask(in: $0) { waited.succeed() } }
        defer { timer?.cancel() }
        await withTaskCancellationHandler {
            try? await waited.futureResult.get()
        } onCancel: {
            waited.succeed()
        }
    }

    /// Forgets a container that its node does not have any more; what it wrote before nobody here heard of its end comes first.
    func vanished(_ route: Route) {
        guard hasRun(route), !route.mounts.isEmpty else { return drop(route) }
        start { [self] in
            await containerEnded(route, exitCode: nil)
            guard routes[route.containerID]?.epoch == route.epoch, !moving.contains(route.containerID) else { return }
            drop(route)
        }
    }

    private func beginHomecoming(of route: Route) -> EventLoopFuture<Void> {
        let promise = NodeLoop.shared.loop.makePromise(of: Void.self)
        ended[route.containerID] = promise.futureResult
        start { [self] in
            let isHome = await bringHome(route)
            // One that has started again in between goes on using them.
            if ended[route.containerID] === promise.futureResult {
                leaveMounts(of: route)
                if !isHome { ended.forget(route.containerID) }
            }
            promise.succeed()
        }
        return promise.futureResult
    }

    /// - Returns: false where something is still at the node; whoever asks next tries again.
    private func bringHome(_ route: Route) async -> Bool {
        var isHome = true
        for mount in route.mounts where await !bringHome(mount, of: route) { isHome = false }
        return isHome
    }

    private func bringHome(_ mount: MirroredMount, of route: Route) async -> Bool {
        var tries = OutputTries()
        while isLast(route), !Task.isCancelled {
            let link = control.existingLink(to: route.target)
            do {
                try await synchronise(mount, of: route)
                return true
            } catch {
                guard let pause = tries.pause(afterFailureOutOfReach: isOutOfReach(route, since: link)) else {
                    logger.error(
                        "a container's last outputs are still at its node; they come with the next start of one with this mount there",
                        metadata: ["path": "\(mount.source)", "node": "\(route.target)", "reason": "\(error)"])
                    return false
                }
                try? await Task.sleep(for: .seconds(pause * Double.random(in: 0.5...1)))
            }
        }
        return false
    }

    /// Whether it is for the link that something failed, and the node may come back with the same outputs.
    private func isOutOfReach(_ route: Route, since link: LinkConnection?) -> Bool {
        mounts != nil && control.snapshot[route.target] != nil && !moving.contains(route.containerID)
            && isGone(link, to: route.target)
    }

    /// Whether the container has not been begun elsewhere since; one that is removed still has its outputs.
    private func isLast(_ route: Route) -> Bool {
        if let current = routes[route.containerID] { return current.epoch == route.epoch }
        return aliases.engineID(of: route.containerID, at: control.node) == nil
    }
}
