// The three methods, for the person who runs a firewall, with the addresses and ports of this deployment.
import type { Need } from '../lib/needs';
import { placeOf } from '../lib/needs';
import { tn } from '../text/network';
import { RouteGlyph } from './icons';
import s from './needs.module.css';

const GLYPHS = { 1: 'local', 2: 'punched', 3: 'relayed' } as const;
type Number3 = keyof typeof GLYPHS;
interface Facts {
	ports: string[];
	protocol: string;
	direction: string;
	to: string[];
	closed: string;
	note?: string;
}

const dashed = (ports: string): string => (ports === 'any' ? tn.fact.any : ports.replace('-', '–'));
const once = (words: string[]): string[] => [...new Set(words)];

function facts(list: readonly Need[]): Record<Number3, Facts> {
	const stun = list.filter((n) => n.kind === 'stun');
	const relay = list.filter((n) => n.kind.startsWith('turn-'));
	const ranges = list.filter((n) => n.kind === 'relay-ports');
	const own = list.find((n) => n.ownPortMin > 0);
	const any = own ? tn.fact.ownRange(`${own.ownPortMin}–${own.ownPortMax}`) : tn.fact.any;
	return {
		1: { ports: [any], protocol: 'UDP', direction: tn.both, to: [tn.fact.localTo], closed: tn.fact.localClosed },
		2: {
			ports: [any], protocol: 'UDP', direction: tn.out, closed: tn.fact.peersClosed,
			to: [tn.fact.peersTo, ...once(stun.map(placeOf)).map(tn.fact.stunTo)],
			...(stun.length === 0 && { note: tn.fact.noStun }),
		},
		3: {
			ports: once([...relay, ...ranges].map((n) => `${n.protocol.toUpperCase()} ${dashed(n.ports)}`)),
			protocol: once(relay.map((n) => n.application)).join(', '), direction: tn.out,
			to: once(relay.map((n) => n.host)).map(tn.fact.relayTo), closed: tn.fact.relayClosed,
			...(relay.length === 0 && { note: tn.fact.noRelay }),
		},
	};
}

export function Methods({ list }: { list: readonly Need[] }) {
	const all = facts(list);
	return (
		<section className={s.group} aria-labelledby="methods">
			<h2 id="methods">{tn.methods}</h2>
			<p className={s.soft}>{tn.methodsLead}</p>
			<ol className={s.methods}>
				{([1, 2, 3] as const).map((number) => (
					<li key={number} className={s.card} data-method={GLYPHS[number]}>
						<h3>
							<RouteGlyph method={GLYPHS[number]} size={24} />
							{tn.method(number)}: {tn.methodName[number]}
						</h3>
						<p>{tn.methodText[number]}</p>
						<FactList of={all[number]} />
					</li>
				))}
			</ol>
			<p className={s.soft}>{tn.narrow}</p>
		</section>
	);
}

function FactList({ of }: { of: Facts }) {
	if (of.note && of.ports.length === 0) return <p>{of.note}</p>;
	const rows = [
		[tn.facts.protocol, [of.protocol]],
		[tn.facts.ports, of.ports],
		[tn.facts.direction, [of.direction]],
		[tn.facts.to, of.to],
		[tn.facts.closed, [of.closed]],
	] as const;
	return (
		<>
			<dl className={s.facts}>
				{rows.map(([name, values]) => (
					<div key={name}>
						<dt>{name}</dt>
						<dd>
							{values.map((value) => (
								<span key={value}>
									<bdi>{value}</bdi>
								</span>
							))}
						</dd>
					</div>
				))}
			</dl>
			{of.note && <p>{of.note}</p>}
		</>
	);
}
