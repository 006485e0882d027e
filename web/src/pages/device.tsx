import { deviceList } from '../lib/devices';
import { useStore } from '../lib/store';
import { Heading, Link, Name } from '../parts/basics';
import { Crumb, Shell } from '../parts/shell';
import u from '../styles/ui.module.css';
import { t } from '../text';

export default function Device({ id }: { id: string }) {
	const device = useStore(deviceList).devices.get(id);
	return (
		<Shell crumb={<Crumb><Link to="/devices">{t.nav.devices}</Link></Crumb>}>
			<main className={u.page} id="page">
				<Heading title={device?.name ?? t.device.unknown}>{device ? <Name text={device.name} /> : t.device.unknown}</Heading>
			</main>
		</Shell>
	);
}
