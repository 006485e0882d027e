// Which way the traffic goes, always in view; the popover says why.
import { Popover } from '@base-ui/react/popover';
import { useRef } from 'react';
import type { Candidate, Route, Tried } from '../lib/api';
import { visible } from '../lib/hostile';
import { methodOf } from '../session/route';
import { rttText, sentence } from '../session/route-watch';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { milliseconds } from '../text/format';
import { CopyButton } from './basics';
import { RouteGlyph } from './icons';
import { Diagram } from './route-diagram';
import s from './route-badge.module.css';

const SHOWN = 6;

export function RouteBadge({ route, name, onTryAgain }: { route: Route; name: string; onTryAgain: () => void }) {
	const popup = useRef<HTMLDivElement>(null);
	const { method } = route;
	const detail = { local: t.route.detailLocal, punched: t.route.detailPunched, relayed: t.route.detailRelayed }[method];
	return (
		<Popover.Root>
			<Popover.Trigger className={`${s.badge} ${s[method]}`} data-route={method}>
				<span className="vh">{t.route.prefix} </span>
				<RouteGlyph method={method} />
				{t.route[method]} <bdi className="num">{rttText(route.rtt_ms)}</bdi>
				<span className="vh">{t.route.showWhy}</span>
			</Popover.Trigger>
			<Popover.Portal>
				<Popover.Positioner sideOffset={8} align="start" collisionPadding={12}>
					<Popover.Popup className={`${u.popup} ${s.popup}`} ref={popup} initialFocus={popup}>
						<Popover.Title className={s.title}>
							<RouteGlyph method={method} size={26} />
							{t.route[method]}
						</Popover.Title>
						<Popover.Description className={s.say}>{sentence(method, route.rtt_ms)}</Popover.Description>
						<p className={s.detail}>{detail}</p>
						<Diagram route={route} name={name} />
						{method === 'relayed' && <Fix address={route.pair.remote.address} />}
						<Ways route={route} />
						<div className={s.foot}>
							<button type="button" className={u.button} onClick={onTryAgain}>
								{t.route.again}
							</button>
							<span className="num">{t.route.setup(milliseconds(route.setup_ms))}</span>
						</div>
					</Popover.Popup>
				</Popover.Positioner>
			</Popover.Portal>
		</Popover.Root>
	);
}

function Fix({ address }: { address: string }) {
	const rule = t.route.fixRule(address || t.route.device);
	return (
		<div className={s.fix}>
			<h3>{t.route.fixTitle}</h3>
			<p>{t.route.fixText}</p>
			<div className={s.rule}>
				<code>{rule}</code>
				<CopyButton text={rule} />
			</div>
			<small>{t.route.fixNote}</small>
		</div>
	);
}

function end({ address, port }: Candidate): string {
	if (!address) return t.route.hidden;
	return address.includes(':') ? `[${visible(address)}]:${port}` : `${visible(address)}:${port}`;
}

function result(tried: Tried, used: boolean): string {
	const rtt = tried.rtt_ms === null ? '' : rttText(tried.rtt_ms);
	if (used) return [rtt, t.route.inUse].filter(Boolean).join(', ');
	if (tried.state === 'succeeded') return [rtt, t.route.spare].filter(Boolean).join(', ');
	if (tried.state === 'failed') return t.route.failed;
	return tried.state === 'in-progress' ? t.route.trying : t.route.waiting;
}

function Ways({ route }: { route: Route }) {
	const { local, remote } = route.pair;
	const same = (a: Candidate, b: Candidate) => a.address === b.address && a.port === b.port && a.type === b.type && a.protocol === b.protocol;
	const used = route.tried.find((way) => same(way.local, local) && same(way.remote, remote));
	const ways = [...(used ? [used] : []), ...route.tried.filter((way) => way !== used)];
	return (
		<>
			<table className={s.tried}>
				<caption>{t.route.tried}</caption>
				<tbody>
					{ways.slice(0, SHOWN).map((way, index) => {
						const method = way === used ? route.method : methodOf(way.local, way.remote, [], []);
						return (
							<tr key={index} data-used={way === used || undefined}>
								<th scope="row">
									<span>
										<RouteGlyph method={method} size={19} />
										{t.route[method]}
									</span>
								</th>
								<td>
									<bdi dir="ltr" className="num">
										{end(way.local)} → {end(way.remote)} {way.local.protocol}
									</bdi>
									{way.sent > 0 && (
										<>
											<br />
											<span className="num">{t.route.checks(way.sent, way.answered)}</span>
										</>
									)}
								</td>
								<td className="num">{result(way, way === used)}</td>
							</tr>
						);
					})}
				</tbody>
			</table>
			{ways.length > SHOWN && <p className={`${s.more} num`}>{t.route.more(ways.length - SHOWN)}</p>}
		</>
	);
}
