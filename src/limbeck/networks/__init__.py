"""Networks that limbeck ships: named without a prefix, such as ``mlp?hidden=128x128``."""

from limbeck.networks.cells import CellNetwork
from limbeck.networks.convnet import ConvNet
from limbeck.networks.denoiser import Denoiser
from limbeck.networks.get import GET
from limbeck.networks.noise_schedule import NoiseSchedule
from limbeck.networks.own import NETWORKS
from limbeck.networks.reference import VGG11, AlexNet, LeNet
from limbeck.networks.resnet import ResNet, ResNet18, ResNet50
from limbeck.networks.routed import Routed
from limbeck.networks.small import CNN, MLP

__all__ = [
    "CNN",
    "GET",
    "MLP",
    "NETWORKS",
    "VGG11",
    "AlexNet",
    "CellNetwork",
    "ConvNet",
    "Denoiser",
    "LeNet",
    "NoiseSchedule",
    "ResNet",
    "ResNet18",
    "ResNet50",
    "Routed",
]
