import Fleet
import Leases
import Testing

@Suite("A node's own lease")
struct NodeLeaseTests {
    static let work = WorkloadID.random()

    @Test("A heartbeat that was acknowledged counts from when it was sent")
    func counted() {
        var lease = NodeLease(now: 100)
        #expect(!lease.stands(at: 100))
        lease.renew(sentAt: 90, term: 50)
        lease.confirm(reportedAfter: 0, at: 110)
        #expect(lease.stands(at: 139) && !lease.stands(at: 140))
        lease.renew(sentAt: 80, term: 50)
        #expect(lease.stands(at: 139), "an older acknowledgement takes nothing away")
    }

    @Test("It runs out once, and a late acknowledgement does not bring it back")
    func runsOut() {
        var lease = NodeLease(validUntil: 100, now: 50)
        let checks = [99, 100, 101].map { lease.check(at: $0) }
        #expect(checks == [false, true, false])
        lease.renew(sentAt: 90, term: 100)
        #expect(!lease.stands(at: 120), "the gateway may have given the work away")
        lease.confirm(reportedAfter: 0, at: 120)
        #expect(!lease.stands(at: 120), "that report was made before")
        lease.confirm(reportedAfter: 1, at: 120)
        #expect(lease.stands(at: 120))
    }

    @Test("A report that is confirmed when the lease has run out again confirms nothing")
    func late() {
        var lease = NodeLease(validUntil: 100, now: 150)
        lease.confirm(reportedAfter: 0, at: 150)
        #expect(lease.hasLapsed)
    }

    @Test("A lease becomes a container only if the gateway told of it since the last lapse")
    func told() {
        var lease = NodeLease(validUntil: 100, now: 0)
        #expect(!lease.admits(Self.work, epoch: 1, at: 10))
        lease.tell(Self.work, epoch: 1)
        #expect(lease.admits(Self.work, epoch: 1, at: 10))
        #expect(!lease.admits(Self.work, epoch: 2, at: 10))
        lease.tell(Self.work, epoch: 2)
        #expect(!lease.admits(Self.work, epoch: 1, at: 10))
        _ = lease.check(at: 100)
        lease.tell(Self.work, epoch: 2)
        lease.renew(sentAt: 110, term: 100)
        lease.confirm(reportedAfter: 1, at: 120)
        #expect(
            !lease.admits(Self.work, epoch: 2, at: 130), "what was told before the report is older than what it says")
        lease.tell(Self.work, epoch: 2)
        #expect(lease.admits(Self.work, epoch: 2, at: 130))
        lease.forget(Self.work)
        #expect(!lease.admits(Self.work, epoch: 2, at: 130))
    }
}
