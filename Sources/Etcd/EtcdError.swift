/// Why a call to etcd brought no answer; the message says what to do.
package struct EtcdError: Error, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// No endpoint could be connected to; nothing was sent.
        case unreachable
        /// Sent, and then the connection broke or the time was up: it may have been done.
        case unanswered
        /// The endpoint has no majority or no leader of its cluster; it may have been done.
        case noQuorum
        /// The certificate or its user may not do this.
        case denied
        /// etcd's own space is used up.
        case full
        /// The revision that was asked for has been compacted.
        case compacted
        /// The lease is gone.
        case leaseGone
        /// etcd does not take the request as it is.
        case invalid
        /// The URL or the certificates named in the configuration cannot be used.
        case configuration
        case closed
        case cancelled
        /// etcd failed in another way.
        case failed
    }

    package var code: Code
    package var message: String
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String { cause.map { "\(message): \($0)" } ?? message }

    /// Whether etcd may have done what was asked although it did not say so.
    package var mayHaveHappened: Bool { code == .unanswered || code == .noQuorum || code == .failed }

    /// Whether another try, perhaps at another endpoint, can do better.
    package var isPassing: Bool { code == .unreachable || code == .unanswered || code == .noQuorum }
}

extension EtcdError {
    /// What a gRPC status of etcd's means.
    init(status: Int, message: String, endpoint: EtcdEndpoint) {
        let says = "etcd at \(endpoint) says: \(message.isEmpty ? "status \(status)" : message)"
        switch status {
        case 7, 16:
            self.init(.denied, "\(says); give the certificate's user read and write access to Lighter's prefix")
        case 8 where message.contains("space"):
            self.init(
                .full, "\(says); compact and defragment it, raise --quota-backend-bytes, then run etcdctl alarm disarm")
        case 5 where message.contains("lease"):
            self.init(.leaseGone, says)
        case 11 where message.contains("compacted"):
            self.init(.compacted, says)
        case 3, 11, 12:
            self.init(.invalid, says)
        case 4, 8, 14:
            self.init(.noQuorum, "\(says); see that a majority of its members run and reach one another")
        default:
            self.init(.failed, says)
        }
    }
}
