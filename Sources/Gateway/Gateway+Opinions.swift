import Fleet
import Logging
import Session
import Wire

/// A second opinion on lost nodes: of nodes near them, that are asked to reach them.
extension Gateway {
    func askAboutLostNodes() {
        for question in registry.questions() {
            var push = Lighter_V1_ProbePush()
            push.node = question.node.id.name
            push.addresses = question.node.addresses
            for session in question.asked { session.peer.send(.probePush(push)) }
        }
    }

    /// What a node found that was asked; of anybody else it is no opinion.
    func take(_ report: Lighter_V1_ProbeReport, of session: AgentSession) {
        guard let node = try? NodeID(report.node), let finding = SecondOpinion.Finding(rawValue: report.finding),
            registry.note(SecondOpinion(by: session.node, finding), of: node)
        else { return }
        logger.notice(
            "a second opinion on a lost node",
            metadata: ["node": "\(node)", "asked": "\(session.node)", "finding": "\(finding.rawValue)"])
    }
}
