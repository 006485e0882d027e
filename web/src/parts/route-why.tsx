// Why a session goes the way it goes: the sentence, the drawing, what to change, and what came of each method. The same
// in the popover and in the report.
import type { Policy, Remedy, Route, Verdict } from '../lib/api';
import { visible } from '../lib/hostile';
import { attempts, type Attempt } from '../session/methods';
import { withPort } from '../session/route-log';
import { rttText, sentence } from '../session/route-watch';
import { causeText, insideAddress, remedyText, ruleText, verdictText } from '../session/verdict';
import { t } from '../text';
import { CopyButton } from './basics';
import { RouteGlyph } from './icons';
import s from './route-why.module.css';

const FIXES_MAX = 3;

/** Which way and why. A verdict about another method than this is an old one. */
export function why(route: Route, verdict: Verdict | null): string {
	if (verdict && verdict.method === route.method) return verdictText(verdict);
	return route.method === 'none' ? t.verdict.none : sentence(route.method, route.rtt_ms);
}

export function Detail({ route, verdict }: { route: Route; verdict: Verdict | null }) {
	const told = verdict?.method === route.method && causeText(verdict.cause, verdict.side, verdict.method) !== null;
	const text = { local: told ? '' : t.route.detailLocal, punched: told ? '' : t.route.detailPunched, relayed: t.verdict.costs, none: '' }[route.method];
	const early = verdict && !verdict.final && verdict.method === route.method ? t.verdict.early : '';
	if (!text && !early) return null;
	return <p className={s.detail}>{[text, early].filter(Boolean).join(' ')}</p>;
}

export interface Ends {
	console: Route | null;
	device: Route | null;
}

/** One paragraph for what is gained, one rule for each opening. */
export function Fixes({ remedies, ends, address, level = 'h3' }: { remedies: readonly Remedy[]; ends: Ends; address: string; level?: 'h2' | 'h3' }) {
	if (remedies.length === 0) return null;
	const Title = level;
	return (
		<div className={s.fix}>
			<Title>{t.route.change}</Title>
			{remedies.slice(0, FIXES_MAX).map((remedy, index, all) => {
				const text = remedyText(remedy);
				const rule = ruleText(remedy, insideAddress(remedy.side, ends, address));
				return (
					<div key={index} className={s.remedy}>
						{(index === 0 || remedyText(all[index - 1]!) !== text) && <p>{text}</p>}
						<div className={s.rule}>
							<code dir="ltr">{rule}</code>
							<CopyButton text={rule} />
						</div>
					</div>
				);
			})}
		</div>
	);
}

function place({ pair, method }: Attempt): string {
	if (!pair) return '';
	const end = (c: { address: string; port: number }) => (c.address ? withPort(visible(c.address), c.port) : t.route.hidden);
	return method === 'relayed' && pair.local.type === 'relay' ? end(pair.local) : `${end(pair.local)} → ${end(pair.remote)}`;
}

function detailOf(attempt: Attempt, route: Route): React.ReactNode {
	const { method, outcome, sent, said } = attempt;
	if (outcome === 'used' || outcome === 'spare') {
		const protocol = (outcome === 'used' ? route.transport : attempt.pair?.local.protocol) ?? '';
		return (
			<bdi dir="ltr" className="num">
				{t.route.overAt(t.route.overTransport[protocol] ?? visible(protocol), place(attempt))}
			</bdi>
		);
	}
	if (outcome === 'forbidden') return t.route.byPolicy;
	if (outcome === 'held') return t.route.held;
	if (sent > 0) return <span className="num">{t.route.unanswered(sent)}</span>;
	if (said?.error) return t.route.serverSaid(visible(said.error));
	if (method === 'relayed' && !attempt.servers && outcome === 'impossible') return t.route.noServer;
	return outcome === 'impossible' ? t.route.noPair[method] : '';
}

function resultOf({ outcome, pair }: Attempt, route: Route): string {
	const rtt = outcome === 'used' ? route.rtt_ms : (pair?.rtt_ms ?? null);
	const word = {
		used: t.route.inUse, spare: t.route.spare, failed: t.route.failed, trying: t.route.trying, waiting: t.route.waiting, untried: t.route.untried,
		impossible: t.route.impossible, forbidden: t.route.forbidden, held: t.route.waiting,
	}[outcome];
	return outcome === 'used' || outcome === 'spare' ? [rttText(rtt), word].filter(Boolean).join(', ') : word;
}

export function Methods({ route, policy }: { route: Route; policy: Policy }) {
	return (
		<table className={s.methods} aria-label={t.route.methods}>
			<tbody>
				{attempts(route, policy).map((attempt) => (
					<tr key={attempt.method} data-used={attempt.outcome === 'used' || undefined}>
						<th scope="row">
							<span>
								<RouteGlyph method={attempt.method} size={19} />
								{t.route[attempt.method]}
							</span>
						</th>
						<td>{detailOf(attempt, route)}</td>
						<td className="num">
							<bdi>{resultOf(attempt, route)}</bdi>
						</td>
					</tr>
				))}
			</tbody>
		</table>
	);
}
