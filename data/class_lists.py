"""The classes of CamVid, Cityscapes and VSPW: names in the order of their indices, and colours."""

from __future__ import annotations

CAMVID = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (0, 0, 192),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
"""CamVid's 11 classes with the authors' colours; everything else is void."""

# The authors' 32 classes: colour, and the one of the 11 that it is counted as (None: void). The usual grouping, as in
# Sturgess et al., "Combining appearance and structure from motion features for road scene understanding" (BMVC 2009).
CAMVID_AUTHORS: dict[str, tuple[tuple[int, int, int], str | None]] = {
    "Animal": ((64, 128, 64), "pedestrian"),
    "Archway": ((192, 0, 128), "building"),
    "Bicyclist": ((0, 128, 192), "bicyclist"),
    "Bridge": ((0, 128, 64), "building"),
    "Building": ((128, 0, 0), "building"),
    "Car": ((64, 0, 128), "car"),
    "CartLuggagePram": ((64, 0, 192), "pedestrian"),
    "Child": ((192, 128, 64), "pedestrian"),
    "Column_Pole": ((192, 192, 128), "pole"),
    "Fence": ((64, 64, 128), "fence"),
    "LaneMkgsDriv": ((128, 0, 192), "road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "road"),
    "Misc_Text": ((128, 128, 64), "sign"),
    "MotorcycleScooter": ((192, 0, 192), "bicyclist"),
    "OtherMoving": ((128, 64, 64), "car"),
    "ParkingBlock": ((64, 192, 128), "pavement"),
    "Pedestrian": ((64, 64, 0), "pedestrian"),
    "Road": ((128, 64, 128), "road"),
    "RoadShoulder": ((128, 128, 192), "pavement"),
    "Sidewalk": ((0, 0, 192), "pavement"),
    "SignSymbol": ((192, 128, 128), "sign"),
    "Sky": ((128, 128, 128), "sky"),
    "SUVPickupTruck": ((64, 128, 192), "car"),
    "TrafficCone": ((0, 0, 64), "pole"),
    "TrafficLight": ((0, 64, 64), "sign"),
    "Train": ((192, 64, 128), "car"),
    "Tree": ((128, 128, 0), "tree"),
    "Truck_Bus": ((192, 128, 192), "car"),
    "Tunnel": ((64, 0, 64), "building"),
    "VegetationMisc": ((192, 192, 0), "tree"),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), "building"),
}

CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
"""The 19 training classes of Cityscapes (Cordts et al., CVPR 2016) in the order of their training indices."""

_VSPW = (
    "wall ceiling door stair ladder escalator Playground_slide handrail_or_fence window rail goal pillar pole "
    "floor ground grass sand athletic_field road path crosswalk building house bridge tower windmill "
    "well_or_well_lid other_construction sky mountain stone wood ice snowfield grandstand sea river lake "
    "waterfall water billboard_or_Bulletin_Board sculpture pipeline flag parasol_or_umbrella cushion_or_carpet "
    "tent roadblock car bus truck bicycle motorcycle wheeled_machine ship_or_boat raft airplane tyre "
    "traffic_light lamp person cat dog horse cattle other_animal tree flower other_plant toy ball_net backboard "
    "skateboard bat ball cupboard_or_showcase_or_storage_rack box traveling_case_or_trolley_case basket "
    "bag_or_package trash_can cage plate tub_or_bowl_or_pot bottle_or_cup barrel fishbowl bed pillow "
    "table_or_desk chair_or_seat bench sofa shelf bathtub gun commode roaster other_machine refrigerator "
    "washing_machine Microwave_oven fan curtain textiles clothes painting_or_poster mirror flower_pot_or_vase "
    "clock book tool blackboard tissue screen_or_television computer printer Mobile_phone keyboard "
    "other_electronic_product fruit food instrument train"
)
VSPW_NAMES = tuple(_VSPW.split())
"""VSPW's 124 classes (Miao et al., CVPR 2021); its label files hold the index plus one, 0 being void."""
