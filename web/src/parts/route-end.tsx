// What one end of a session saw: servers, NAT, candidates, pairs, and what was dropped.
import type { ReactNode } from 'react';
import type { Candidate, Found, Route, Server, Tried } from '../lib/api';
import { visible } from '../lib/hostile';
import { sameEnd } from '../session/methods';
import { withPort } from '../session/route-log';
import { rttText } from '../session/route-watch';
import { t } from '../text';
import { milliseconds } from '../text/format';
import s from './route-end.module.css';

const word = (table: Record<string, string>, key: string): string => (Object.hasOwn(table, key) ? table[key]! : visible(key));

/** Address and port, or that the browser keeps it to itself; always written from left to right. */
function Address({ of }: { of: Candidate }) {
	if (!of.address) return <span className={s.soft}>{t.route.hidden}</span>;
	return (
		<bdi dir="ltr" className="mono">
			{withPort(visible(of.address), of.port)}
		</bdi>
	);
}

function Table({ id, title, columns, empty, children }: { id: string; title: string; columns: string[]; empty: boolean; children: ReactNode }) {
	return (
		<section aria-labelledby={id} className={s.part}>
			<h3 id={id}>{title}</h3>
			{empty ? (
				<p className={s.soft}>{t.report.nothing}</p>
			) : (
				<table className={s.table} aria-labelledby={id}>
					<thead>
						<tr>
							{columns.map((column) => (
								<th key={column} scope="col">
									{column}
								</th>
							))}
						</tr>
					</thead>
					<tbody>{children}</tbody>
				</table>
			)}
		</section>
	);
}

export function EndReport({ route }: { route: Route }) {
	const old = route.candidates === undefined && route.servers === undefined;
	return (
		<>
			<Summary route={route} />
			{old && <p className={s.soft}>{t.report.oldReport}</p>}
			{route.servers && <Servers servers={route.servers} />}
			{route.candidates && <Candidates candidates={route.candidates} />}
			<Pairs route={route} />
			<Ignored words={route.ignored ?? {}} />
		</>
	);
}

function Summary({ route }: { route: Route }) {
	const facts: [string, ReactNode][] = [
		[t.report.method, t.route[route.method]],
		...(route.pair
			? ([
					[t.report.transport, word(t.route.overTransport, route.transport)],
					[t.report.pair, <Ways key="pair" pair={route.pair} />],
				] as [string, ReactNode][])
			: []),
		...(route.rtt_ms !== null ? ([[t.report.rtt, <bdi key="rtt">{rttText(route.rtt_ms)}</bdi>]] as [string, ReactNode][]) : []),
		...(route.setup_ms !== null && route.setup_ms !== undefined ? ([[t.report.setup, <bdi key="setup">{milliseconds(route.setup_ms)}</bdi>]] as [string, ReactNode][]) : []),
		...(route.nat
			? ([
					[t.report.mapping, word(t.report.mappings, route.nat.mapping)],
					[t.report.filtering, word(t.report.filterings, route.nat.filtering)],
				] as [string, ReactNode][])
			: []),
	];
	return (
		<dl className={`${s.facts} num`}>
			{facts.map(([name, value]) => (
				<div key={name}>
					<dt>{name}</dt>
					<dd>{value}</dd>
				</div>
			))}
		</dl>
	);
}

function Ways({ pair }: { pair: { local: Candidate; remote: Candidate } }) {
	return (
		<bdi dir="ltr">
			<Address of={pair.local} /> → <Address of={pair.remote} />
		</bdi>
	);
}

function Servers({ servers }: { servers: Server[] }) {
	return (
		<Table id="servers" title={t.report.servers} columns={[t.report.server, t.report.serverState, t.report.after]} empty={servers.length === 0}>
			{servers.map((server, index) => (
				<tr key={index}>
					<td>
						<bdi dir="ltr" className="mono">
							{visible(server.url)}
						</bdi>
						<small>
							{word(t.route.overTransport, server.transport)}
							{server.via === 'proxy' && `, ${t.report.viaProxy}`}
						</small>
					</td>
					<td>
						<span data-state={server.state}>{word(t.report.serverStates, server.state)}</span>
						{(server.mapped || server.error || server.code !== null) && (
							<small>
								{server.mapped && (
									<>
										{t.report.mapped} <bdi dir="ltr" className="mono">{visible(server.mapped)}</bdi>
									</>
								)}
								{server.code !== null && `${t.report.code(server.code)} `}
								{server.error && <bdi>{visible(server.error)}</bdi>}
							</small>
						)}
					</td>
					<td className="num">{server.ms !== null && <bdi>{milliseconds(server.ms)}</bdi>}</td>
				</tr>
			))}
		</Table>
	);
}

function Candidates({ candidates }: { candidates: Found[] }) {
	return (
		<Table id="candidates" title={t.report.candidates} columns={[t.report.candidate, t.report.from, t.report.after, t.report.use]} empty={candidates.length === 0}>
			{candidates.map((one, index) => (
				<tr key={index} data-used={one.use === 'selected' || undefined}>
					<td>
						<Address of={one} />
						<small>
							{one.side === 'local' ? t.report.sideLocal : t.report.sideRemote}, {word(t.report.types, one.type)}, {word(t.route.overTransport, one.protocol)}
						</small>
					</td>
					<td>
						<bdi>{word(t.report.origins, one.origin)}</bdi>
						{one.net && <small>{word(t.report.nets, one.net)}</small>}
					</td>
					<td className="num">{one.ms !== null && <bdi>{milliseconds(one.ms)}</bdi>}</td>
					<td>
						{word(t.report.uses, one.use)}
						{one.why && (
							<small>
								<bdi>{visible(one.why)}</bdi>
							</small>
						)}
					</td>
				</tr>
			))}
		</Table>
	);
}

function Pairs({ route }: { route: Route }) {
	const { pair, tried } = route;
	const used = (way: Tried) => pair !== null && sameEnd(way.local, pair.local) && sameEnd(way.remote, pair.remote);
	return (
		<Table id="pairs" title={t.report.pairs} columns={[t.report.own, t.report.other, t.report.checks, t.report.state]} empty={tried.length === 0}>
			{tried.map((way, index) => (
				<tr key={index} data-used={used(way) || undefined}>
					<td>
						<Address of={way.local} />
						<small>
							{word(t.report.types, way.local.type)}, {word(t.route.overTransport, way.local.protocol)}
						</small>
					</td>
					<td>
						<Address of={way.remote} />
						<small>{word(t.report.types, way.remote.type)}</small>
					</td>
					<td className="num">{t.report.checkCount(way.sent, way.answered, way.received)}</td>
					<td className="num">
						{used(way) ? t.route.inUse : word(t.report.states, way.state)}
						{(way.rtt_ms !== null || way.error) && (
							<small>
								{way.rtt_ms !== null && <bdi>{rttText(way.rtt_ms)}</bdi>} {way.error && <bdi>{visible(way.error)}</bdi>}
							</small>
						)}
					</td>
				</tr>
			))}
		</Table>
	);
}

function Ignored({ words }: { words: Record<string, number> }) {
	const entries = Object.entries(words);
	if (entries.length === 0) return null;
	return (
		<section aria-labelledby="ignored" className={s.part}>
			<h3 id="ignored">{t.report.ignored}</h3>
			<p className={s.soft}>{t.report.ignoredText}</p>
			<dl className={`${s.facts} num`}>
				{entries.map(([reason, count]) => (
					<div key={reason}>
						<dt>
							<bdi>{word(t.report.ignoredWords, reason)}</bdi>
						</dt>
						<dd>{new Intl.NumberFormat(t.language).format(count)}</dd>
					</div>
				))}
			</dl>
		</section>
	);
}
