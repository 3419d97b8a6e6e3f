import Fleet

extension Placement {
    /// The one node that can have it, or a refusal: a user who names a node wants no other.
    func explicit(_ target: NodeID, because cause: String) -> Decision {
        guard let node = snapshot[target] else {
            return refusing([Decision.Candidate(node: target, refusals: [Refusal.unknownNode.reason])])
        }
        var refusals = Filters.others(question).refusals(of: node)
        if !fleetReachable { refusals.insert(.gatewayAway, at: 0) }
        var candidate = candidate(node)
        candidate.refusals = refusals.map(\.reason)
        guard refusals.isEmpty else {
            candidate.score = nil
            return refusing([candidate])
        }
        return choosing(target, cause, candidates: [candidate])
    }

    /// The best of the others by load; the origin where none fits.
    ///
    /// - Parameter cause: Why not the origin, where the policy does not say so by itself.
    func byLoad(because cause: String?) -> Decision {
        let survey = survey { LoadScore($0, question).total }
        guard let node = survey.choice(for: request.id, grain: 0.05) else {
            return lastResort(survey, cause: cause, warns: request.policy.kind == .remote)
        }
        let fit = survey.fitting.count == 1 ? "it is the only other node that fits" : "it has the most room"
        let others = survey.fitting.count == 1 ? "" : " of \(survey.fitting.count) that fit"
        let reason = [cause, fit + others].compactMap(\.self).joined(separator: "; ")
        return choosing(node.id, reason, candidates: shown(survey, chosen: node))
    }

    func byThreshold(memory: inout ThresholdMemory) -> Decision {
        let measures = question.origin.measures
        let policy = request.policy
        let load = "CPU \(Text.percent(measures.cpu)), memory \(Text.percent(measures.memory))"
        let limits = "\(Text.percent(policy.cpuThreshold)), \(Text.percent(policy.memoryThreshold))"
        let away = memory.isAway(question.origin, under: policy)
        guard away || !originRefusals.isEmpty else {
            return staying("it is not busy: \(load) against thresholds of \(limits)")
        }
        guard originRefusals.isEmpty else { return byLoad(because: "\(origin) cannot take it") }
        let passed = measures.cpu > policy.cpuThreshold || measures.memory > policy.memoryThreshold
        let cause =
            passed
            ? "\(origin) is busy: \(load) against thresholds of \(limits)"
            : "\(origin) was busy and has not fallen \(Text.percent(policy.hysteresis)) below its thresholds: \(load)"
        return byLoad(because: cause)
    }

    func byCompletion() -> Decision {
        // Tags say what the work needs, so an origin without them is the last resort only.
        let originFits =
            originRefusals.isEmpty
            && (request.policy.tags.isEmpty || TagFilter(tags: request.policy.tags).refusal(of: question.origin) == nil)
        let measures = question.origin.measures
        let isBusy = measures.cpu > request.policy.cpuThreshold || measures.memory > request.policy.memoryThreshold
        if originFits, question.work == nil, !isBusy {
            return staying("nothing is known of this work yet, and \(origin) is not busy")
        }
        let survey = survey { CompletionForecast($0, question).total }
        guard let node = survey.choice(for: request.id, grain: 0.01) else {
            return lastResort(survey, cause: nil, warns: !originFits)
        }
        let here = CompletionForecast(question.origin, question).total
        // Staying risks nothing, so leaving must be worth more than the forecast's grain.
        if originFits, here <= survey.bestScore + max(0.01, survey.bestScore * Survey.nearly) {
            return staying(
                "predicted \(Text.seconds(here)) there, \(Text.seconds(survey.bestScore)) on the best other node",
                candidates: shown(survey, chosen: nil))
        }
        let there = CompletionForecast(node, question).total
        let against = originRefusals.isEmpty ? "\(Text.seconds(here)) on \(origin)" : "\(origin) cannot take it"
        return choosing(
            node.id, "predicted \(Text.seconds(there)) there, \(against)", candidates: shown(survey, chosen: node))
    }

    private func survey(_ score: (Node) -> Double) -> Survey {
        // Without a gateway nothing can be leased: no node is worth looking at.
        Survey(fleetReachable ? snapshot.nodes : [], of: question, shown: Self.candidatesShown, score: score)
    }
}
