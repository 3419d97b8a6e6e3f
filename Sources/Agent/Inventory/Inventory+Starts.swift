package import Engine
import Fleet
import Glibc
import Logging

/// What the kernel tells of starts, before the engine does.
extension Inventory {
    /// For how long the engine may know less than the kernel of a run that is over, in seconds.
    private static let patience = 10.0

    /// Follows a watch; that it cannot be is logged, once.
    package func follow(_ starts: StartWatch) {
        sources[.ebpf] = .trying
        starts.begin { [weak self] notice in
            NodeLoop.assumeIsolated {
                switch notice {
                case .following: self?.sources[.ebpf] = .used
                case .refused(let refusal): self?.noteRefusal(refusal)
                case .started(let start): self?.started(start)
                }
            }
        }
    }

    private func noteRefusal(_ refusal: KernelRefusal) {
        sources[.ebpf] = .refused("\(refusal)")
        logger.info("starts are told by the engine alone", metadata: ["reason": "\(refusal)"])
        guard !refusal.log.isEmpty else { return }
        logger.info("the kernel's verifier", metadata: ["said": "\(refusal.log)"])
    }

    /// A container's first process has begun to execute its program. It may do so more than once.
    func started(_ start: StartWatch.Start) {
        guard var record = index[start.containerID], [.created, .exited].contains(record.workload.state),
            record.endedPid != start.pid, record.kernelPid != start.pid,
            Int64(start.time * 1e9) > record.eventTime
        else { return }
        forgetExit(record.id)
        record.started(pid: start.pid, at: start.time)
        exitCodes.forget(record.id)
        keep(record)
        sources.note(.ebpf)
        tell(record)
        watch(start.pid, of: record.id)
    }

    /// Whether an inspection is of the time before what the kernel has told of the present run.
    func isBehindKernel(_ inspected: Workload, pid: Int32?, _ record: ContainerRecord) -> Bool {
        if pid != nil, pid == record.endedPid { return true }
        guard record.awaitsEngine, pid != record.kernelPid, inspected.startedAt < record.workload.startedAt,
            inspected.finishedAt < record.workload.startedAt
        else { return false }
        // Of what goes on the kernel is right; what is over, the engine must know before long.
        return tokens[record.id] != nil || Double(time(nil)) < record.workload.finishedAt + Self.patience
    }
}
