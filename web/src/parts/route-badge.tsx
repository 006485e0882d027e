// Which way the traffic goes, always in view; the popover says why.
import { Popover } from '@base-ui/react/popover';
import { ArrowRight } from 'lucide-react';
import { useRef } from 'react';
import type { Device } from '../lib/api';
import { routePath } from '../lib/router';
import { useStore } from '../lib/store';
import type { PeerSession } from '../session/peer';
import { rttText } from '../session/route-watch';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { milliseconds } from '../text/format';
import { Link } from './basics';
import { RouteGlyph } from './icons';
import { Diagram } from './route-diagram';
import { Detail, Fixes, Methods, why } from './route-why';
import s from './route-badge.module.css';

export function RouteBadge({ session, device }: { session: PeerSession; device: Device }) {
	const popup = useRef<HTMLDivElement>(null);
	const { route, verdict, policy, retry, session: id } = useStore(session.state);
	if (!route || route.method === 'none') return null;
	const { method } = route;
	const now = verdict?.method === method ? verdict : null;
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
						<Popover.Description className={s.say}>{why(route, now)}</Popover.Description>
						<Detail route={route} verdict={now} />
						<Diagram route={route} verdict={now} name={device.name} />
						<Fixes remedies={now?.remedy ?? []} ends={{ console: route, device: null }} address={device.address} />
						<Methods route={route} policy={policy} />
						<div className={s.foot}>
							<button type="button" className={u.button} disabled={retry === 'looking'} onClick={() => session.tryAgain()}>
								{t.route.again}
							</button>
							<Link className={`${u.button} ${u.ghost} ${s.more}`} to={routePath(device.id, id)}>
								{t.route.report}
								<ArrowRight size={15} strokeWidth={1.9} aria-hidden />
							</Link>
							<span className="num" role="status">
								{retry === 'looking' ? t.route.looking : retry === 'done' ? t.route.same : ''}
								{retry === 'no' && route.setup_ms !== null && <bdi>{t.route.setup(milliseconds(route.setup_ms))}</bdi>}
							</span>
						</div>
					</Popover.Popup>
				</Popover.Positioner>
			</Popover.Portal>
		</Popover.Root>
	);
}
