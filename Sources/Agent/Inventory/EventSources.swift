package import DockerAPI
package import Engine
import Fleet

/// Which sources tell the inventory of changes, and how many each was the first to tell.
package struct EventSources: Sendable, Hashable {
    package enum Condition: Sendable, Hashable {
        case used
        case switchedOff
        /// It is tried, and has not said whether it works.
        case trying
        case refused(String)
    }

    private var conditions: [KernelSource: Condition] = [:]
    private var told: [KernelSource: Int] = [:]
    private var toldByEngine = 0

    package init(used: Set<KernelSource>) {
        for source in used { conditions[source] = .used }
        // It is used only once it says so.
        if used.contains(.ebpf) { conditions[.ebpf] = .trying }
    }

    package subscript(source: KernelSource) -> Condition {
        get { conditions[source] ?? .switchedOff }
        set { conditions[source] = newValue }
    }

    package mutating func note(_ source: KernelSource) { told[source, default: 0] += 1 }
    package mutating func noteEngine() { toldByEngine += 1 }

    /// `[{"Source", "State": "used"|"off"|"trying"|"refused", "Reason", "Told"}]`; the engine's events come last.
    package var json: JSON {
        let kernel = KernelSource.allCases.map { source -> JSON in
            let (state, reason) = self[source].words
            return [
                "Source": .string(source.rawValue), "State": .string(state), "Reason": .string(reason),
                "Told": .number("\(told[source] ?? 0)"),
            ]
        }
        return .array(
            kernel + [["Source": "engine", "State": "used", "Reason": "", "Told": .number("\(toldByEngine)")]])
    }
}

extension EventSources.Condition {
    fileprivate var words: (state: String, reason: String) {
        switch self {
        case .used: ("used", "")
        case .switchedOff: ("off", "")
        case .trying: ("trying", "")
        case .refused(let reason): ("refused", reason)
        }
    }
}
