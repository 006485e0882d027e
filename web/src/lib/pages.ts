// Pages that are loaded on use. The page of a device is fetched as soon as somebody points at one.
export const loadDevicePage = () => import('../pages/device');
