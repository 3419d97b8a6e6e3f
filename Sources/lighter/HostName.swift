import Fleet
import Foundation

enum HostName {
    /// The host's name as a node's may be; nil where nothing of it may.
    static var asNode: String? {
        let first = ProcessInfo.processInfo.hostName.lowercased().prefix { $0 != "." }
        let allowed = first.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        let name = String(String(allowed).drop { $0 == "-" }.prefix(63))
        return (try? NodeID(name))?.name
    }
}
